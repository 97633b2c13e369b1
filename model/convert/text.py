"""The official report tokenizer: a Llama-2 tokenizer folder, fast or slow, with its three added tokens.

A slow folder holds a SentencePiece model, which is turned into the same byte-pair encoding: the merges are the pairs of
pieces that make a piece, best score first.
Source: medim-spec section 3.1; SentencePiece's model format (Kudo 2018).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medim_forge.model.checkpoint import CheckpointError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ADDED = ("<boi>", "<eoi>", "<eos>")
SPECIALS = ("<unk>", "<s>", "</s>")
FAST, SLOW = "tokenizer.json", "tokenizer.model"
# Types of SentencePiece pieces that are no text.
_CONTROL = (2, 3)


def report_tokenizer(folder: Path) -> tuple[Tokenizer, list[Path]]:
    """The tokenizer of a folder, and the files that it was made from.

    Raises:
        CheckpointError: there is none, it is damaged, or it lacks the added tokens at its end.
    """
    what = f"tokenizer {folder}"
    if not folder.is_dir():
        raise CheckpointError(f"{what}: is not a folder; give the one with {FAST} or {SLOW}")
    path = next((folder / name for name in (FAST, SLOW) if (folder / name).is_file()), None)
    if path is None:
        raise CheckpointError(f"{what}: holds neither {FAST} nor {SLOW}")
    try:
        tokenizer = _fast(path) if path.name == FAST else _slow(path)
    except Exception as error:
        raise CheckpointError(f"{what}: {path.name} is no tokenizer ({error}); is the file whole?") from error
    files = [path, *_add_tokens(tokenizer, folder, what)]
    size = tokenizer.get_vocab_size()
    ids = [tokenizer.token_to_id(token) for token in ADDED]
    if ids != [size - 3, size - 2, size - 1]:
        there = dict(zip(ADDED, ids, strict=True))
        raise CheckpointError(
            f"{what}: of {size} ids the last three must be {', '.join(ADDED)}; found {there}. Add them as the official "
            "code does: tokenizer.add_special_tokens({'additional_special_tokens': ['<boi>', '<eoi>', '<eos>']}), "
            "then save_pretrained"
        )
    if absent := [token for token in SPECIALS if tokenizer.token_to_id(token) is None]:
        raise CheckpointError(f"{what}: lacks {', '.join(absent)}; is this a Llama-2 tokenizer?")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer, files


def _fast(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(path.read_text(encoding="utf-8"))


def _add_tokens(tokenizer: Tokenizer, folder: Path, what: str) -> list[Path]:
    """Tokens that stand in files beside the tokenizer are part of it; those files."""
    from tokenizers import AddedToken

    wanted: dict[int, str] = {}
    files = []
    for name, tokens in (("added_tokens.json", _by_token), ("tokenizer_config.json", _by_id)):
        path = folder / name
        if path.is_file():
            try:
                wanted.update(tokens(json.loads(path.read_text(encoding="utf-8"))))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise CheckpointError(f"{what}: {name} cannot be read ({error!r})") from error
            files.append(path)
    for number, token in sorted(wanted.items()):
        here = tokenizer.token_to_id(token)
        if here is None:
            tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True)])
            here = tokenizer.token_to_id(token)
        if here != number:
            raise CheckpointError(f"{what}: {token} has id {here} there, and {number} in the files beside it")
    return files


def _by_token(content: Mapping[str, int]) -> dict[int, str]:
    """Token by id, of `added_tokens.json`."""
    return {int(number): token for token, number in content.items()}


def _by_id(content: Mapping[str, Any]) -> dict[int, str]:
    """Token by id, of `tokenizer_config.json`."""
    return {int(number): str(entry["content"]) for number, entry in content.get("added_tokens_decoder", {}).items()}


def _slow(path: Path) -> Tokenizer:
    """The byte-pair encoding of a SentencePiece model, as Llama's fast tokenizer has it."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

    pieces = list(_pieces(path.read_bytes()))
    if not pieces:
        raise ValueError("it holds no pieces")
    vocab = {piece: number for number, (piece, _, _) in enumerate(pieces)}
    # Every way to cut a piece into two known pieces is a merge that makes it.
    merges = []
    for piece, score, _ in pieces:
        pairs = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        ours = [(left, right) for left, right in pairs if left in vocab and right in vocab]
        merges += [(-score, vocab[left], vocab[right], (left, right)) for left, right in ours]
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocab,
            merges=[pair for *_, pair in sorted(merges)],
            unk_token=SPECIALS[0],
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    controls = [AddedToken(piece, normalized=False, special=True) for piece, _, kind in pieces if kind in _CONTROL]
    tokenizer.add_special_tokens(controls)
    return tokenizer


def _pieces(data: bytes) -> Iterator[tuple[str, float, int]]:
    """Piece, score and type of every entry of a SentencePiece model (field 1 of its message)."""
    for field, value in _fields(data):
        if field == 1:
            entry = dict(_fields(bytes(value)))
            score = struct.unpack("<f", bytes(entry[2]))[0] if 2 in entry else 0.0
            kind = entry.get(3, 1)
            yield bytes(entry.get(1, b"")).decode(), score, int(kind) if isinstance(kind, int) else 1


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Field number and value of every field of a protocol buffer message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        # The lowest three bits are the type of the field: 0 a number, 2 bytes with their length, 1 and 5 fixed sizes.
        if key & 7 == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if key & 7 == 2:
            size, at = _varint(data, at)
        else:
            size = {1: 8, 5: 4}[key & 7]
        if at + size > len(data):
            raise ValueError("it ends in the middle of a field")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at a byte, seven bits a byte and the lowest first; and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
