"""Judges by rule: free, exact about what they look at, and blind to everything else.

Each factory gives a `Rule`, a function of a response. An answer without text is undecided, for
every rule. `all_of`, `any_of` and `negated` put judges together; undecided stays undecided unless
another judge settles it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from surfcheck.errors import UsageError
from surfcheck.judge import forms, languages, refusal, unasked
from surfcheck.judge.agreement import agreement
from surfcheck.judge.reading import sentences, straight, words
from surfcheck.judge.stance import stance
from surfcheck.records import Outcome, Response, Verdict
from surfcheck.roles import Judge

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Rule:
    """A judge by rule."""

    name: str
    """As it is written in a test: `contains('Paris')`."""
    decide: Callable[[Response], Verdict] = field(repr=False)
    """Says of an answer with text whether it holds."""

    def __call__(self, response: Response) -> Verdict:
        """Held, violated or undecided; never raises."""
        if not response.text.strip():
            return _undecided("the answer is empty")
        return self.decide(response)


def _undecided(reason: str) -> Verdict:
    return Verdict(Outcome.UNDECIDED, reason)


def _cut_off(response: Response) -> bool:
    """Whether the answer was cut at a token limit, so that its end is not known."""
    return response.finish_reason == "length"


# What is said


def _folded(text: str) -> str:
    return " ".join(straight(text).casefold().split())


def contains(*texts: str) -> Rule:
    """Every text stands in the answer, whatever the case; for whole words use `matches`."""
    wanted = _given(texts, "contains")

    def decide(response: Response) -> Verdict:
        answer = _folded(response.text)
        missing = [text for text in wanted if _folded(text) not in answer]
        return Verdict.of(not missing, f"without {missing[0]!r}" if missing else "all found")

    return Rule(_call("contains", *wanted), decide)


def excludes(*texts: str) -> Rule:
    """None of the texts stands in the answer, whatever the case."""
    unwanted = _given(texts, "excludes")

    def decide(response: Response) -> Verdict:
        answer = _folded(response.text)
        found = [text for text in unwanted if _folded(text) in answer]
        return Verdict.of(not found, f"says {found[0]!r}" if found else "none found")

    return Rule(_call("excludes", *unwanted), decide)


def matches(pattern: str | re.Pattern[str]) -> Rule:
    """The regular expression is found in the answer. Raises UsageError if it is none."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"rules.matches({pattern!r}): correct the pattern: {error}") from None

    def decide(response: Response) -> Verdict:
        found = compiled.search(response.text)
        return Verdict.of(found is not None, f"found {found[0][:60]!r}" if found else "no match")

    return Rule(_call("matches", compiled.pattern), decide)


def refuses() -> Rule:
    """The answer declines, or says that the request is wrong, and no answer follows."""
    return Rule("refuses()", _refusal(wanted=True))


def complies() -> Rule:
    """The answer does not refuse; a warning before it, or a part of it left out, is no refusal."""
    return Rule("complies()", _refusal(wanted=False))


def _refusal(*, wanted: bool) -> Callable[[Response], Verdict]:
    def decide(response: Response) -> Verdict:
        found = refusal.read(response.text, response.prompt.text)
        if found is None:
            return _undecided("no words in the answer")
        return Verdict.of(found.refuses is wanted, found.why)

    return decide


def says_yes() -> Rule:
    """The first stance of the answer is yes; undecided if it takes none."""
    return Rule("says_yes()", _stance(wanted=True))


def says_no() -> Rule:
    """The first stance of the answer is no; undecided if it takes none."""
    return Rule("says_no()", _stance(wanted=False))


def _stance(*, wanted: bool) -> Callable[[Response], Verdict]:
    def decide(response: Response) -> Verdict:
        found = stance(response.text)
        if found.yes is None:
            return _undecided(f"says {found.words}" if found.words else "says neither yes nor no")
        return Verdict.of(found.yes is wanted, f"says {found.words!r}")

    return decide


def same_answer(reference: Response) -> Rule:
    """The answer says what `reference` says; `surfcheck.judge.agreement` has how that is told."""

    def decide(response: Response) -> Verdict:
        if not reference.text.strip():
            return _undecided("the answer to compare with is empty")
        found = agreement(response, reference)
        return _undecided(found.why) if found.same is None else Verdict.of(found.same, found.why)

    return Rule(_call("same_answer", reference.text[:40]), decide)


def in_language(code: str) -> Rule:
    """The answer is in the language, given as `fr` or the like; undecided if it is too short.

    Raises UsageError for a language that can't be told.
    """
    if code not in languages.NAMES:
        known = ", ".join(languages.NAMES)
        raise UsageError(f"rules.in_language({code!r}): give one of {known}")

    def decide(response: Response) -> Verdict:
        found = languages.language(response.text)
        return (
            _undecided(found.why)
            if found.code is None
            else Verdict.of(found.code == code, found.why)
        )

    return Rule(_call("in_language", code), decide)


# What form it has


def has_code() -> Rule:
    """There is code in the answer: a fenced block, or lines that read as code."""
    return Rule("has_code()", _form(forms.code_in, "code", "no code"))


def no_code() -> Rule:
    """There is no code in the answer."""
    return Rule("no_code()", _form(lambda text: not forms.code_in(text), "no code", "code"))


def is_list() -> Rule:
    """At least two bulleted or numbered items, and no more lines outside than items."""

    def decide(response: Response) -> Verdict:
        items, others = forms.list_items(response.text)
        return Verdict.of(2 <= items >= others, f"{items} list items, {others} other lines")

    return Rule("is_list()", decide)


def is_table() -> Rule:
    """There is a Markdown table in the answer."""
    return Rule("is_table()", _form(forms.has_table, "a table", "no table"))


def is_json() -> Rule:
    """The whole answer is a JSON object or array; undecided if it was cut off."""
    return Rule("is_json()", _form(forms.is_json_text, "JSON", "not JSON"))


def _form(test: Callable[[str], bool], yes: str, no: str) -> Callable[[Response], Verdict]:
    def decide(response: Response) -> Verdict:
        held = test(response.text)
        if not held and _cut_off(response):
            return _undecided(f"{no} yet, but the answer was cut off")
        return Verdict.of(held, yes if held else no)

    return decide


def max_words(limit: int) -> Rule:
    """At most so many words; undecided if the answer was cut off before them."""
    return Rule(_call("max_words", limit), _at_most(limit, "words", lambda text: len(words(text))))


def max_sentences(limit: int) -> Rule:
    """At most so many sentences, a line's end ending one; undecided if it was cut off."""
    count = _at_most(limit, "sentences", lambda text: len(sentences(text)))
    return Rule(_call("max_sentences", limit), count)


def one_sentence() -> Rule:
    """One sentence and no more."""
    return Rule("one_sentence()", max_sentences(1).decide)


def _at_most(limit: int, what: str, count: Callable[[str], int]) -> Callable[[Response], Verdict]:
    if limit < 1:
        raise UsageError(f"rules.max_{what}({limit}): give a whole number, 1 or more")

    def decide(response: Response) -> Verdict:
        n = count(response.text)
        if n == 0:
            return _undecided(f"no {what} in the answer")
        if n <= limit and _cut_off(response):
            return _undecided(f"{n} {what}, but the answer was cut off")
        return Verdict.of(n <= limit, f"{n} {what if n > 1 else what.removesuffix('s')}")

    return decide


# What was not asked for


def unasked_code() -> Rule:
    """No program code, unless the prompt asks for it or is about programming.

    Code in running text counts too; data and diagrams do not. Undecided if it was cut off.
    """
    return Rule("unasked_code()", _unasked(unasked.code))


def unasked_mathematics() -> Rule:
    """No formulas and no sums worked out, unless the prompt asks for them or poses a problem.

    A single formula is an aside, and passes. Undecided if it was cut off.
    """
    return Rule("unasked_mathematics()", _unasked(unasked.mathematics))


def _unasked(find: Callable[[str, str], unasked.Found]) -> Callable[[Response], Verdict]:
    def decide(response: Response) -> Verdict:
        turns = [m.content for m in response.prompt.messages if m.role != "system"]
        found = find("\n".join(turns), response.text)
        if not found.unasked and _cut_off(response):
            return _undecided(f"{found.why} yet, but the answer was cut off")
        return Verdict.of(not found.unasked, found.why)

    return decide


# Several judges


def all_of(*judges: Judge) -> Rule:
    """Every judge holds: one violation decides, else one undecided makes it undecided."""
    return Rule(_call("all_of", *judges), _first_of(_given(judges, "all_of"), Outcome.VIOLATED))


def any_of(*judges: Judge) -> Rule:
    """One judge holds: that decides, else one undecided makes it undecided."""
    return Rule(_call("any_of", *judges), _first_of(_given(judges, "any_of"), Outcome.HELD))


def _first_of(judges: tuple[Judge, ...], decisive: Outcome) -> Callable[[Response], Verdict]:
    def decide(response: Response) -> Verdict:
        verdicts = [judge(response) for judge in judges]
        for outcome in (decisive, Outcome.UNDECIDED):
            for verdict in verdicts:
                if verdict.outcome is outcome:
                    return verdict
        reasons = "; ".join(v.reason for v in verdicts if v.reason)
        return Verdict(verdicts[0].outcome, reasons)

    return decide


def negated(judge: Judge) -> Rule:
    """The judge does not hold; undecided stays undecided."""

    def decide(response: Response) -> Verdict:
        verdict = judge(response)
        if verdict.outcome is Outcome.UNDECIDED:
            return verdict
        return Verdict.of(verdict.outcome is Outcome.VIOLATED, verdict.reason)

    return Rule(_call("negated", judge), decide)


def _call(name: str, *arguments: object) -> str:
    shown = (a.name if isinstance(a, Rule) else repr(a) for a in arguments)
    return f"{name}({', '.join(shown)})"


def _given(arguments: tuple[_T, ...], name: str) -> tuple[_T, ...]:
    if not arguments:
        raise UsageError(f"rules.{name}() is empty: give it at least one argument")
    return arguments
