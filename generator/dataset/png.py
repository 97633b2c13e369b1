"""PNG bytes of an image and back: the same pixels give the same bytes, and the bytes say where they come from."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from medim_forge.generator.errors import InputError

# An XMP packet as IPTC Photo Metadata asks for it. It holds nothing of the pair: equal pixels stay equal files.
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    ' Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/{digital_source}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def encode_png(image: NDArray[np.uint8], digital_source: str | None) -> bytes:
    """The PNG file of an image, marked with its IPTC digital source type where that is known.

    Args:
        image: uint8 [H, W] (grey) or [H, W, 3] (RGB).
        digital_source: last part of the IPTC term, e.g. `trainedAlgorithmicMedia`; None says nothing.

    Raises:
        ValueError: the array is no 8-bit grey or RGB image.
    """
    if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ValueError(
            f"image has dtype {image.dtype} and shape {image.shape}; a pair's image is uint8 [H, W] or uint8 [H, W, 3]"
        )
    info = PngImagePlugin.PngInfo()
    if digital_source is not None:
        info.add_itxt("XML:com.adobe.xmp", _XMP.format(digital_source=digital_source))
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG", pnginfo=info, compress_level=6)
    return buffer.getvalue()


def decode_png(png: bytes) -> NDArray[np.uint8]:
    """The pixels of an encoded image: uint8 [H, W] or [H, W, 3].

    Raises:
        InputError: the bytes are no image, or not 8-bit grey or RGB.
    """
    try:
        with Image.open(io.BytesIO(png)) as image:
            mode, pixels = image.mode, np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow reports a broken PNG chunk as SyntaxError.
        raise InputError(f"not a readable image ({type(error).__name__}: {error})") from error
    if mode not in ("L", "RGB"):
        raise InputError(f"image mode is {mode}; images of a dataset are 8-bit grey (L) or RGB")
    return pixels
