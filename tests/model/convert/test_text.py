"""The official report tokenizer: slow and fast folders give the ids that SentencePiece gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer

from medim_forge.model.checkpoint import CheckpointError
from medim_forge.model.convert.text import ADDED, report_tokenizer
from tests.doubles.official_files import write_slow_tokenizer

# Ids and decoded text of a byte-pair model with byte fallback, as the sentencepiece library (0.2) gave them.
EXPECTED = json.loads(
    (Path(__file__).resolve().parents[1] / "sentencepiece_tiny" / "expected.json").read_text(encoding="utf-8")
)


def fast_folder(folder, *, added=ADDED):
    """A fast folder, its added tokens inside tokenizer.json."""
    plain, _ = report_tokenizer(write_slow_tokenizer(folder / "source"))
    content = json.loads(plain.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] not in ADDED]
    made = Tokenizer.from_str(json.dumps(content))
    made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in added])
    path = folder / "fast"
    path.mkdir()
    made.save(str(path / "tokenizer.json"))
    return path


def test_a_slow_folder_cuts_text_as_sentencepiece_does(tmp_path):
    found, files = report_tokenizer(write_slow_tokenizer(tmp_path / "slow"))
    assert len(EXPECTED) > 50
    for case in EXPECTED:
        assert found.encode(case["text"], add_special_tokens=False).ids == case["ids"], case["text"]
        assert found.decode(case["ids"]) == case["decoded"]
    assert [path.name for path in files] == ["tokenizer.model", "added_tokens.json"]


def test_fast_and_slow_folders_are_the_same_tokenizer(tmp_path):
    slow, _ = report_tokenizer(write_slow_tokenizer(tmp_path / "slow"))
    fast, _ = report_tokenizer(fast_folder(tmp_path))
    for case in EXPECTED:
        assert fast.encode(case["text"], add_special_tokens=False).ids == case["ids"]
    assert fast.get_vocab() == slow.get_vocab()
    assert [fast.token_to_id(token) for token in ADDED] == [520, 521, 522]


def test_added_tokens_may_stand_in_the_tokenizer_config(tmp_path):
    folder = fast_folder(tmp_path, added=())
    tokens = {str(520 + number): {"content": token} for number, token in enumerate(ADDED)}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": tokens}))
    found, files = report_tokenizer(folder)
    assert found.get_vocab_size() == 523
    assert [path.name for path in files] == ["tokenizer.json", "tokenizer_config.json"]
    tokens["523"] = {"content": "<more>"}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": tokens}))
    with pytest.raises(CheckpointError, match="of 524 ids the last three must be <boi>, <eoi>, <eos>"):
        report_tokenizer(folder)


@pytest.mark.parametrize("added", [(), ("<boi>", "<eoi>"), ("<eoi>", "<boi>", "<eos>")])
def test_a_tokenizer_without_the_added_tokens_in_their_places_is_refused(tmp_path, added):
    with pytest.raises(CheckpointError, match=r"the last three must be .*add_special_tokens\("):
        report_tokenizer(write_slow_tokenizer(tmp_path / "slow", added))
    with pytest.raises(CheckpointError, match=r"the last three must be .*add_special_tokens\("):
        report_tokenizer(fast_folder(tmp_path / "other", added=added))


def test_wrong_and_damaged_folders_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="is not a folder"):
        report_tokenizer(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"holds neither tokenizer\.json nor tokenizer\.model"):
        report_tokenizer(tmp_path)
    folder = write_slow_tokenizer(tmp_path / "slow")
    data = (folder / "tokenizer.model").read_bytes()
    (folder / "tokenizer.model").write_bytes(data[: len(data) // 2 + 3])
    with pytest.raises(CheckpointError, match=r"tokenizer\.model is no tokenizer .* is the file whole"):
        report_tokenizer(folder)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is no tokenizer"):
        report_tokenizer(folder)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").write_bytes(data)
    (folder / "added_tokens.json").write_text("[1]")
    with pytest.raises(CheckpointError, match=r"added_tokens\.json cannot be read"):
        report_tokenizer(folder)
    (folder / "added_tokens.json").write_text(json.dumps({"<boi>": 700}))
    with pytest.raises(CheckpointError, match="<boi> has id 520 there, and 700 in the files beside it"):
        report_tokenizer(folder)
