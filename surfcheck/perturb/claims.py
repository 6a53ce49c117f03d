"""Claims, and the questions and statements that carry them.

`claim` finds what a prompt claims; `questions` says it in another form. English only, one sentence,
at most 40 words. Left out: questions that turn the verb round ("Does water freeze at 0 °C?"), and
claims about the speaker ("I am sad."), which would mean something else in another form.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from surfcheck.perturb.compose import Variation, either, perturbation
from surfcheck.perturb.vocabulary import (
    AUXILIARIES,
    FINITE,
    NO_CLAIM_OPENERS,
    PLURALS,
    REQUESTS,
    SMALL,
    SPEAKERS,
    VERBS,
)

_LONGEST = 40

_SURE = r"(?:(?:pretty|quite|fairly|very)\ )?sure"
_HEADS = re.compile(
    rf"""(?:(?:hi|hello|hey|so|well|ok|okay|and|but)[,!.]?\s+)?
    (?: (?:is|isn't|was)\ it\ (?:really\ |actually\ |indeed\ )?
            (?:true|correct|right|accurate|the\ case|a\ fact)(?:\ to\ say)?\ that
      | am\ i\ (?:right|correct)(?:\ in\ (?:thinking|saying|believing|assuming)
            |\ to\ (?:think|say|believe|assume))?\ that
      | (?:can|could)\ you\ (?:please\ )?confirm\ that
      | (?:do|don't|would)\ you\ (?:agree|think|believe|say)\ that
      | it(?:'s|\ is)\ (?:true|correct|a\ fact)\ that
      | did\ you\ know\ that
      | i(?:\ really|\ do)?\ (?:believe|think|know|heard|read|suppose|assume|understand)\ that
      | i(?:'ve|\ have)\ (?:heard|read|learned|learnt)\ that
      | i\ was\ told\ that | i(?:'m|\ am)\ {_SURE}\ that
      | true\ or\ false\s*[:,?–—-]
    )\s+""",
    re.VERBOSE | re.IGNORECASE,
)
_VERB_NOT = r"(?:is|are|was|were|do|does|did|has|have|had|ca|could|wo|would|should)n't"
_TAILS = re.compile(
    rf"""(?:
        \s*[,–—-]\s*(?:right|correct|true|yes|yeah|no|huh|am\ i\ right|true\ or\ false
            | is\ (?:that|this|it)\ (?:right|correct|true|so)
            | isn't\ (?:that|it)\ (?:right|correct|true|so)
            | don't\ you\ (?:think|agree)
            | {_VERB_NOT}\ (?:it|he|she|they|you|we|i|there|that|this))
      | [.!]\s+(?:right|correct|true|true\ or\ false|am\ i\ right|agreed
            | is\ (?:that|this|it)\ (?:right|correct|true|so|a\ fact)
            | isn't\ (?:that|it)\ (?:right|correct|true|so)
            | do\ you\ agree)
    )\s*\Z""",
    re.VERBOSE | re.IGNORECASE,
)
_AFTER_SINGULAR = {"is", "isn't", "was", "wasn't", "has", "hasn't", "does", "doesn't"}
_MARKS = re.compile(r"[\s.?!…]+\Z")


def claim(text: str) -> str | None:
    """What the text claims, as it stands in mid-sentence and without a final mark, or None.

    "Is it true that water freezes at 0 °C?", "Water freezes at 0 °C, right?" and "Water freezes at
    0 °C." all give "water freezes at 0 °C". A first word keeps its capital if it may be a name.
    """
    whole = text.strip()
    if "\n" in whole or len(whole) > 600:
        return None
    body = _MARKS.sub("", re.sub(r"[^\S\n]+", " ", whole.replace("’", "'")))
    told = _TAILS.sub("", body)
    found = _HEADS.match(told)
    rest = _MARKS.sub("", told[found.end() :] if found else told).strip()
    words = [w.strip(",;:\"'()").casefold() for w in rest.split()]
    if not 2 <= len(words) <= _LONGEST or re.search(r"[.!?][\"')]*\s+\S|\?", rest):
        return None
    if found:
        return rest
    if words[0] in NO_CLAIM_OPENERS | SPEAKERS or not rest[0].isalnum():
        return None
    if told != body:
        clause = _has_verb(words) or len(words) > 2
    else:
        clause = _has_verb(words) and not SPEAKERS.intersection(words)
    return _in_mid_sentence(rest, words) if clause else None


def _has_verb(words: list[str]) -> bool:
    """Whether a finite verb stands after the first word; a title or a list of things has none."""
    for before, word, after in zip(words, words[1:], [*words[2:], ""], strict=False):
        plural = before.endswith("s") or before in PLURALS
        if word in AUXILIARIES and after and before not in ("that", "which", "who", "to"):
            return True
        if (word in FINITE and after != "of") or (word in VERBS and plural):
            return True
    return False


def _in_mid_sentence(sentence: str, words: list[str]) -> str:
    plural = words[0].endswith("s") and words[1] in (VERBS | AUXILIARIES) - _AFTER_SINGULAR
    if (words[0] in SMALL or plural) and not sentence[1:2].isupper():
        return sentence[0].lower() + sentence[1:]
    return sentence


def _form(name: str, step: str, say: Callable[[str], str]) -> Variation:
    def offers(text: str) -> list[tuple[str, str]]:
        said = claim(text)
        if said is None:
            return []
        changed = say(said)
        again = claim(changed)
        same = again is not None and again.casefold() == said.casefold()
        return [(changed, step)] if same else []

    return perturbation(name, offers)


def _opening(said: str) -> str:
    return said[0].upper() + said[1:]


def _with_tag(said: str) -> str:
    tag = ", isn't it?" if " is " in said else ", isn't that so?"
    return _opening(said) + tag


FORMS = (
    _form("statement", "as a statement", lambda s: f"{_opening(s)}."),
    _form("rising", "as a statement with a question mark", lambda s: f"{_opening(s)}?"),
    _form("is-it-true", "asked: is it true that", lambda s: f"Is it true that {s}?"),
    _form("tag-right", "asked: right?", lambda s: f"{_opening(s)}, right?"),
    _form("tag-isnt-it", "asked: isn't it?", _with_tag),
    _form(
        "is-that-correct", "asked: is that correct?", lambda s: f"{_opening(s)}. Is that correct?"
    ),
    _form("is-it-correct", "asked: is it correct that", lambda s: f"Is it correct that {s}?"),
    _form("am-i-right", "asked: am I right that", lambda s: f"Am I right that {s}?"),
    _form("do-you-agree", "asked: do you agree that", lambda s: f"Do you agree that {s}?"),
    _form("can-you-confirm", "asked: can you confirm that", lambda s: f"Can you confirm that {s}?"),
    _form("i-believe", "as a belief", lambda s: f"I believe that {s}."),
    _form("i-heard", "as hearsay", lambda s: f"I heard that {s}. Is that true?"),
    _form("true-or-false", "asked: true or false?", lambda s: f"True or false: {s}?"),
)


def questions() -> Variation:
    """The claim of the prompt in another form; a prompt without one stays as it is."""
    return either(*FORMS, name="questions")


def is_request(text: str) -> bool:
    """Whether the text opens with a verb that asks for something: "Write a poem"."""
    first = re.match(r"\s*(\w+)\s+\w", text)
    return first is not None and first[1].casefold() in REQUESTS
