"""Reports in the slots of a checkpoint: the ids of a text there, if it fits. Free of torch, so that plans can ask."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medim_forge.model.config import MedimConfig, read_config
from medim_forge.model.text import ReportTokenizer, TextError


@dataclass(frozen=True)
class ReportSlots:
    """The report side of a checkpoint.

    Attributes:
        config: of the checkpoint.
        text: its report tokenizer.
    """

    config: MedimConfig
    text: ReportTokenizer

    @staticmethod
    def load(folder: Path) -> ReportSlots:
        """The report side of a checkpoint folder; no weights are read.

        Raises:
            CheckpointError: there is no config.json.
            ConfigError: it does not describe a model.
            TextError: there is no tokenizer, or one without the special tokens.
        """
        config = read_config(folder)
        return ReportSlots(config, ReportTokenizer.load(folder / "tokenizer.json", config.conventions.text))

    def room(self, *, whole: bool) -> int:
        """How many ids a whole report may have, or an opening: bos counts, the end does not."""
        layout = self.config.layout
        # The end of a report takes a slot, and what is sampled behind a prompt at least one.
        return int(layout.report_slots) - (layout.end_id is not None) - (not whole)

    def ids(self, text: str, *, whole: bool, official: bool = False) -> list[int]:
        """Report ids of an opening, or of a whole report with its end and pads.

        Args:
            text: of one or the other.
            whole: which.
            official: whether long reports are treated as the checkpoint's conventions say.

        Raises:
            TextError: it does not fit the report slots, has characters that the tokenizer lacks, or is an opening that
                does not come back from the tokenizer.
        """
        layout, room = self.config.layout, self.room(whole=whole)
        ids = self.text.encode(text) if whole else self.text.encode_prompt(text)
        if whole and official and self.config.conventions.long_reports == "truncated":
            ids = ids[:room]
        if len(ids) > room:
            raise TextError(
                f"{'report' if whole else 'prompt'} of {len(ids)} ids does not fit the {layout.report_slots} report "
                f"slots (at most {room}): {{text}}; shorten it",
                text,
            )
        if whole:
            ids = [*ids, *([layout.end_id] if layout.end_id is not None else [])]
            ids += [layout.pad_id] * (layout.report_slots - len(ids))
        return ids
