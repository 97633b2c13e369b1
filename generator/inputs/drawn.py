"""Given images and reports of the embedded domain, which need no file."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from medim_forge.generator.files import sha256_hex
from medim_forge.generator.jobspec.inputs import PhantomInputs
from medim_forge.generator.origins import GivenSource
from medim_forge.generator.phantoms import Phantom, draw


@dataclass(frozen=True)
class PhantomRows:
    """Phantoms of the embedded domain, drawn row by row; see `medim_forge.generator.inputs.given.GivenRows`.

    Args:
        inputs: of the job.
    """

    inputs: PhantomInputs

    @property
    def files(self) -> tuple[Path, ...]:
        """There are none, because the spec determines the rows."""
        return ()

    def __len__(self) -> int:
        """The number of rows."""
        return self.inputs.pairs

    def image(self, row: int) -> bytes:
        """The PNG of the row's phantom."""
        stream = io.BytesIO()
        Image.fromarray(self._drawn(row).image).save(stream, "PNG")
        return stream.getvalue()

    def source(self, row: int) -> GivenSource:
        """Nobody's: the digest is of the drawing."""
        return GivenSource(sha256=sha256_hex(self.image(row)))

    def fingerprint(self, row: int) -> tuple[int, str] | None:
        """Size and digest of the drawing."""
        content = self.image(row)
        return len(content), sha256_hex(content)

    def named(self, row: int) -> str:
        """The number of the row: nobody has given it a name."""
        return f"phantom {row}"

    def report(self, row: int) -> str:
        """The report of the row's phantom."""
        return self._drawn(row).report

    def _drawn(self, row: int) -> Phantom:
        digest = hashlib.sha256(f"inputs/{self.inputs.seed}/{row}".encode()).digest()
        return draw(self.inputs.domain, int.from_bytes(digest[:8], "big") >> 1)
