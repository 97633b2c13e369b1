"""The words that deny, doubt or silence what a radiograph report names, as patterns for text in lower case.

Of each table the first phrase that fits a place counts: what only looks like a denial ("no change in") stands before
the denials. The way of working is that of NegEx (Chapman et al. 2001, doi 10.1006/jbin.2001.1029).
"""

from __future__ import annotations

import re

_NO = "(?:no|not|without|nor|never|neither)"
_BE = "(?:is|are|was|were)"
_HAVE = "(?:has|have|had)"
_AUX = f"(?:(?:{_BE}|{_HAVE}|been|be|being|now|again|also|since|currently|felt to be|thought to be|that) )*"
_CHANGE = (
    "(?:change[sd]?(?! (?:of|to suggest))|increase[sd]?|increasing|decrease[sd]?|improve(?:ment|d)?|resol(?:ution|ved)"
    "|worsen(?:ing|ed)|progress(?:ion|ed)?|difference|growth|deteriorat(?:ion|ed)|clear(?:ing|ed)|regress(?:ion|ed)"
    "|reaccumulation|migration|displacement)"
)
_PARTLY = (
    "(?:near(?:ly)?|almost|partial(?:ly)?|mostly|largely|incomplete(?:ly)?|some|slight(?:ly)?|mild(?:ly)?|much|further"
    "|virtually|substantial(?:ly)?|significant(?:ly)?|continued|continuing|moderate(?:ly)?|minimal(?:ly)?|not|subtotal"
    "|slow(?:ly)?|early|gradual(?:ly)?)"
)
_WHOLLY = "(?:(?:very|quite|entirely|completely|totally|fully|definite(?:ly)?|definitively|absolutely|confidently) )?"
_SEEN = (
    "(?:seen|identified|noted|present|visuali[sz]ed|demonstrated|appreciated|detected|evident|apparent|visible|found"
    "|observed|shown|suggested|recogni[sz]ed|suspected|discerned|confirmed|appreciable|demonstrable)"
)
_FELT = "(?:remains?|seems?|felt|considered|thought)"
_CANNOT = "(?:can|could) ?not"
_EXCLUDED = "(?:excluded?|ruled? out)"
_DOUBTFUL = (
    "(?:possib(?:le|ility)|probable|questionable|suspected|considered|unlikely|doubtful|questioned|differential|concern"
    "|consideration|likely)"
)

# Before a mention. `opening` are verbs of doubt, which reach beyond a comma over all that they open; an `order` counts
# where it is the first word; a `removal` is of devices; a `reason` ends what a bare "not" denies.
BEFORE = {
    "neutral": (
        "no doubt",
        "not without",
        "not only",
        "no (?:less|more|fewer) than",
        r"no\. \d",
        rf"{_NO} (?:(?!and |or |with |but |evidence |new )[\w-]+ ){{0,3}}?{_CHANGE}",
        r"not (?:\w+ ){0,2}(?:evaluated|assessed|included|imaged|well|optimally|fully|completely|adequately)",
        f"{_PARTLY}(?:[- ]complete(?:ly)?)? (?:interval )?(?:resol(?:ution|ved)|clear(?:ing|ed))",
    ),
    "doubt": (
        rf"{_CANNOT} (?:be )?(?:\w+ ){{0,2}}?(?:{_EXCLUDED}|differentiated?|distinguish(?:ed)?)",
        f"(?:not|(?:difficult|hard|impossible|unable) to) {_WHOLLY}{_EXCLUDED}",
        "not necessarily",
        "(?:low|some|high|clinical|moderate) (?:suspicion|probability|likelihood) (?:for|of)",
        "raises?(?: the)? (?:suspicion|probability|likelihood|possibility) (?:for|of)",
    ),
    "silent": (
        "history(?: (?:of|for))?|hx|h/o|r/o|f/u|denies|risk (?:of|for)|status of",
        r"if(?! any\b)",
        r"(?:evaluat(?:e|ion)|assess(?:ment)?|check|look(?:ing)?|screen(?:ing)?|follow[- ]?up) (?:\w+ )?(?:for|of)",
        "(?:to|and|please|should|advised to) (?:further |better )?(?:exclude|rule out|confirm|evaluate|assess)",
        "sensitive (?:for|in|to)|to (?:detect|identify)",
        r"(?:prior|previous|remote) (?:right |left |bilateral )?\Z",
    ),
    "order": ("rule out|exclude|evaluate|assess|query|follow[- ]?up",),
    "removal": ("(?:removal|withdrawal|discontinuation|explantation) of", "removed"),
    "denial": (
        "no|not|without|never|nothing|none of|absent|neither|nor|nil|(?:absence|lack|devoid|clear) of",
        "free (?:of|from)|negative for|rather than|instead of|as opposed to|fail(?:s|ed|ure) to",
        "rules? out|ruled out|exclud(?:es|ing)",
        "(?:interval |complete )*(?:resolution|clearing|disappearance) of|resolved|cleared",
    ),
    "opening": ("may|might|could|would|differential|ddx|consider(?:ed|ations?)?|cannot",),
    "unsure": (
        "possibl[ey]|possibility|probabl[ey]|perhaps|presumabl[ey]|presumptive|presumed|potential(?:ly)?",
        "question(?:able|ably|ed)?|suspect(?:ed|s)?|suspicio(?:n|us) (?:for|of)|worrisome",
        "concern(?:ing)?(?: for| of| about)?|equivocal|vs|versus|suggest(?:ed|ing|ive|ion)?|favou?r(?:s|ed|ing)?",
        "less likely|unlikely|doubtful|indeterminate|unclear|uncertain",
    ),
    "reason": ("due to|secondary to|because of|caused by|obscured by|given(?: the)?|overlying",),
}
# Behind a mention, or behind the list that it is in.
BEHIND = {
    "neutral": (
        rf"{_AUX}{_NO} (?:(?!seen|present|evident)[\w-]+ ){{0,2}}?{_CHANGE}",
        f"{_AUX}(?:{_PARTLY}[- ]+)+(?:complete(?:ly)? )?(?:resolved|cleared|gone|removed)",
        "not (?:well|optimally|fully|completely|as|only|significantly)",
    ),
    "doubt": (
        rf"{_AUX}{_CANNOT} (?:\w+ ){{0,3}}?{_EXCLUDED}",
        f"{_AUX}not {_WHOLLY}{_EXCLUDED}",
        f"{_AUX}(?:would be |remains? )?(?:difficult|hard|impossible) to {_WHOLLY}{_EXCLUDED}",
        f"(?:(?:{_BE}|{_FELT}|be|to be|also|less|very|a|highly|in the|not) )+{_DOUBTFUL}",
        "(?:may|might|could|should) be (?:present|considered|there)",
        "(?:less |not )?likely|unlikely|in the differential|suspected|questioned|possible|probable",
    ),
    "denial": (
        rf"{_AUX}(?:absent|excluded|ruled out|no longer(?: (?:\w+ly )?{_SEEN}|\W*$)|gone|negative)",
        rf"{_AUX}not (?:(?:been|be|being|currently|now|otherwise|\w+ly) )*{_SEEN}",
        rf"(?:{_BE}|{_HAVE}) (?:(?:now|since|also|all|\w+ly) )*(?:resolved|cleared|disappeared)",
        rf"none {_SEEN}",
        r"not(?= a\b)",
        "(?:completely )?resolved",
    ),
    "removal": (
        rf"(?:(?:{_BE}|{_HAVE}) )?(?:\w+ ){{0,2}}?(?:been )?(?:removed|withdrawn|discontinued|explanted|pulled)",
        "removal",
    ),
    "versus": ("vs|versus",),
}
# Answers to a mention that is a heading or an item: "Pneumothorax: none", "Effusion - not seen", "Edema?".
_ANSWERS = (
    rf"(?P<answered_no>\s*(?:[:=?(-]+\s*)?(?:none|negative|absent|nil|no|denied|resolved)(?=\W*$)"
    rf"|\s*[:=-]+\s*(?:no(?:ne)?|not)\s+(?:evidence|signs?|{_SEEN})\W*$"
    rf"|\s*[:=-]\s*(?:{_BE} )?(?:clear|normal|unremarkable|within normal limits)\b)"
    r"|(?P<asked>\s*\(?\s*\?\s*\)?\s*$)"
)
_LINKS = ("consistent", "compatible", "associated", "concerned", "correlate", "along", "compared", "be seen")
_WITH = "".join(f"(?<!{words} )" for words in _LINKS) + r"with(?! (?:its |the )?tip\b)"
# Words that begin a statement of their own, whatever the one before denied.
HARD_CUT = re.compile(
    r"\b(?:but|however|although|though|except(?:ing)?(?: for)?|(?<!not )yet|other than|aside from|apart from|besides"
    r"|whereas|while"
    rf"|{_WITH}|(?<!if )there (?:{_BE}|{_HAVE})|(?<!the )following(?= \w)|status post|s/p"
    r"|post(?= [a-z])|after|despite|, which (?:shows?|contains?|demonstrates?))\b"
)
VERB = re.compile(rf"\b(?:{_BE}|has|have|remains?|appears?|persists?|shows?|demonstrates?|present|unchanged|stable)\b")
CLOSING_VERB = re.compile(rf"\b(?:{_BE}|has been|have been) (?:\w+ly )?{_SEEN}\b")
NEW_ITEM = re.compile(
    r"\s*(?:an?|there|the|this|these|only|new|small|large|moderate(?:ly)?|mild(?:ly)?|minimal(?:ly)?|trace|tiny|stable"
    r"|unchanged|persistent|left|right|bilateral|bibasilar|bibasal|basilar|chronic|old|increas(?:ed|ing)"
    r"|decreas(?:ed|ing)|improv(?:ed|ing)|worsen(?:ed|ing)|resolving|interval|subtle|slight(?:ly)?|low|scattered|severe"
    r"|marked(?:ly)?|patchy|again|now|possibl[ey]|probabl[ey]|likely|suspected|questionable|suspicious|worrisome"
    r"|concerning|suggesting|suggestive|consistent|compatible|associated|cannot|may|healed|known|normal|multiple"
    r"|prominent|diffuse|calcified)\b"
)
AND_NEW_ITEM = re.compile(
    r"and (?:an?|there|the|new|small|large|mild|moderate|stable|trace|tiny|persistent|unchanged)\b"
)
PRONOUN = re.compile(r"\b(?:one|this|that|these|those|it|they|which)\b")
# A denial with any other word before the mention denies a kind only: no *large* effusion, no *acute* fracture.
PLAIN_WORDS = frozenset(
    (
        *("a", "an", "any", "the", "of", "is", "are", "was", "were", "there", "or", "nor", "and", "to", "for", "be"),
        *("appear", "evidence", "sign", "signs", "finding", "findings", "suggest", "seen", "identified"),
        *("show", "shows", "demonstrate", "demonstrates"),
        *("pleural", "pulmonary", "lung", "lungs", "right", "left", "bilateral"),
    )
)


def _compiled(table: dict[str, tuple[str, ...]], more: str) -> re.Pattern[str]:
    """One pattern of whole words with a group for each kind."""
    kinds = (rf"(?P<{kind}>\b(?:{'|'.join(phrases)})(?!\w))" for kind, phrases in table.items())
    return re.compile("|".join((*kinds, more)))


BEFORE_MENTION = _compiled(BEFORE, r"(?P<asking>\?\s*\Z)")
BEHIND_MENTION = _compiled(BEHIND, _ANSWERS)
