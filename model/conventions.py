"""Conventions: what a checkpoint was trained to be given, besides its layout.

The defaults are those of the embedded checkpoint; `official()` has those of the published system. They are part of a
checkpoint's config.json, where a default is left out.
Source: medim-spec sections 3.1, 3.2 and 3.4 (official MeDiM at commit ce1ea99).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from medim_forge.model.text import TextRules

PromptRule = Literal["whole", "first_sentence"]
OFFICIAL_CONDITIONING = "Image Size: Width is tensor([{width}]{device}) Height is tensor([{height}]{device})."
OFFICIAL_OPENING = "The image is a radiograph of the chest, showing the thoracic cavity structures"


@dataclass(frozen=True, kw_only=True)
class DomainWords:
    """What the conditioning and the reports of a domain say when a job does not.

    Attributes:
        domain: which.
        opening: the words that all reports of the domain begin with; empty where they share none.
        width, height: the image size in pixels that is stated where no image is given.
    """

    domain: str
    opening: str
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Conventions:
    """What is put around and into the state.

    Attributes:
        conditioning: text between image and report, in which `{width}`, `{height}` and `{device}` are filled in; empty
            for none.
        device_text: what stands for `{device}`, e.g. `, device='cuda:0'`.
        domains: per domain; one without an entry has the openings of the embedded domain.
        prompt_rule: how `official` sampling makes a prompt of a text: all of it, or its first sentence without the
            full stop.
        long_reports: what `official` sampling does with a given report longer than the report slots.
        pad_color: what fills a given image up to a square.
        text: the report tokenizer's special tokens, and what becomes of them in a report.
    """

    conditioning: str = ""
    device_text: str = ""
    domains: tuple[DomainWords, ...] = ()
    prompt_rule: PromptRule = "whole"
    long_reports: Literal["refused", "truncated"] = "refused"
    pad_color: tuple[int, ...] = (0, 0, 0)
    text: TextRules = field(default_factory=TextRules)

    def of(self, domain: str) -> DomainWords | None:
        """The entry of a domain, if there is one."""
        return next((words for words in self.domains if words.domain == domain), None)

    def conditioning_text(self, width: int, height: int) -> str:
        """The text between image and report for an image of this size; empty for none."""
        return self.conditioning.format(width=width, height=height, device=self.device_text)

    def prompt(self, text: str) -> str:
        """What `official` sampling gives of a text."""
        return first_sentence(text) if self.prompt_rule == "first_sentence" and "." in text else text


def first_sentence(report: str) -> str:
    """The report up to its first full stop, without it, as the official code makes prompts.

    Without a full stop the official code loses the last character (it slices by the -1 of a failed search).
    """
    return report[: report.find(".")].strip()


def official(domains: Sequence[str] = ("chest_xray", "pathology"), device_text: str = "") -> Conventions:
    """The conventions of the published system.

    The stated sizes of images that do not exist are ours: those that are usual in the training data (radiographs of
    MIMIC-CXR, patches of PathGen); the official code always states the size of a real image.
    """
    words = {"chest_xray": (OFFICIAL_OPENING, 2544, 3056), "pathology": ("", 672, 672)}
    return Conventions(
        conditioning=OFFICIAL_CONDITIONING,
        device_text=device_text,
        domains=tuple(
            DomainWords(domain=domain, opening=words[domain][0], width=words[domain][1], height=words[domain][2])
            for domain in domains
        ),
        prompt_rule="first_sentence",
        long_reports="truncated",
        pad_color=(122, 116, 104),
        text=TextRules(
            specials=("<unk>", "<s>", "</s>", "<boi>", "<eoi>", "<eos>"),
            pad="<unk>",
            removed_text=("<unk>",),
        ),
    )
