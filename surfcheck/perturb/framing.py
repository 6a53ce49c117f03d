"""What stands around a prompt: manners, a speaker, a wrapper, a format clause at the end.

The prompt itself is kept word for word, or decodes back to it (JSON, table). `framing` leaves the
`distractors` out, because a format clause asks for another form of answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from surfcheck.perturb.claims import FORMS, claim, is_request, questions
from surfcheck.perturb.compose import Variation, either, perturbation

__all__ = [
    "CLAUSES", "FRAMING", "claim", "distractors", "framing", "persona", "politeness", "questions",
    "wrappers",
]  # fmt: skip

CLAUSES = (
    "Answer in one sentence.",
    "Answer briefly.",
    "Use at most twenty words.",
    "Use simple words.",
    "Write it as a list.",
    "Use bullet points.",
    "Number the steps.",
    "Reply in JSON.",
    "Put the answer in a table.",
    "Use Markdown headings.",
    "Start with a title.",
    "Write it as a short poem.",
    "Write in the second person.",
    "Use exactly three sentences.",
    "End with a summary.",
    "Write in plain text.",
)
"""Format clauses: none says anything about the subject."""


def _around(name: str, step: str, before: str, after: str = "") -> Variation:
    return perturbation(name, lambda text: [(f"{before}{text}{after}", step)])


def _append(text: str, sentence: str) -> str:
    """The text, then the sentence; on a line of its own where the text ends without a mark."""
    if text[-1].isspace():
        return text + sentence
    return text + (" " if re.search(r"[.!?…:][\"'”’)*]*\Z", text) else "\n") + sentence


def _after(name: str, sentences: Sequence[str]) -> Variation:
    return perturbation(
        name, lambda text: [(_append(text, s), f"appended: {s}") for s in sentences]
    )


def _before(name: str, sentences: Sequence[str]) -> Variation:
    return perturbation(name, lambda text: [(f"{s} {text}", f"prepended: {s}") for s in sentences])


def _asked(opening: str, mark: str) -> Callable[[str], list[tuple[str, str]]]:
    """A request after a polite opening: "Write a poem." becomes "Could you write a poem?"."""

    def offers(text: str) -> list[tuple[str, str]]:
        if not is_request(text):
            return []
        body = text.strip()
        if mark:
            one_sentence = not re.search(r"[.!?]\s", body)
            body = re.sub(r"[.!]?\Z", mark, body, count=1) if one_sentence else body
        return [(f"{opening} {body[0].lower()}{body[1:]}", f"prepended: {opening}")]

    return offers


_POLITENESS = (
    perturbation("please", _asked("Please", "")),
    perturbation("could-you", _asked("Could you", "?")),
    perturbation("would-you", _asked("Would you please", "?")),
    _after("thanks", ("Thanks!", "Thank you.", "Thank you very much in advance.")),
    _before("greeting", ("Hi!", "Hello.", "Good morning!", "Hey there,")),
    _before("apology", ("Excuse me.", "Sorry to bother you.")),
    _after("appreciation", ("I appreciate your help.", "I would be grateful for an answer.")),
)


def politeness() -> Variation:
    """Please, could you, thanks, a greeting; the words of the prompt are kept."""
    return either(*_POLITENESS, name="politeness")


_JOBS = ("teacher", "student", "nurse", "farmer", "librarian", "taxi driver", "retired engineer")
_PLACES = ("Canada", "a small village", "Nairobi")
_MOODS = ("I'm curious.", "I'm new to this.", "I was wondering about this today.")

_PERSONA = (
    _before("job", [f"I'm a {job}." for job in _JOBS]),
    _before("home", [f"I live in {place}." for place in _PLACES]),
    _before("mood", _MOODS),
    _before("on-behalf", ("My neighbour asked me this.", "My daughter would like to know this.")),
)


def persona() -> Variation:
    """The speaker says who they are before the prompt."""
    return either(*_PERSONA, name="persona")


def _fenced(text: str) -> list[tuple[str, str]]:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [(f"{fence}\n{text}\n{fence}", "in a code block")]


def _quoted_lines(text: str) -> list[tuple[str, str]]:
    return [("\n".join("> " + line for line in text.split("\n")), "as a block quote")]


def _cell(text: str) -> str:
    escaped = re.sub(r"\\|\||<br>", lambda m: "\\" + m[0], text)
    return escaped.replace("\n", "<br>")


def _in_json(key: str) -> tuple[Callable[[str], str], str]:
    return lambda text: json.dumps({key: text}, ensure_ascii=False), f"in JSON, under {key!r}"


def _json(text: str) -> list[tuple[str, str]]:
    return [(write(text), step) for write, step in map(_in_json, ("question", "prompt", "input"))]


def _table(text: str) -> list[tuple[str, str]]:
    return [(f"| Question |\n| --- |\n| {_cell(text)} |", "in a table")]


_CONTEXT = (
    _before("label", ("Question:", "Prompt:", "Q:")),
    _before("quick-question", ("Quick question:", "I have a question.", "Here is my question:")),
    _around("question-answer", "between Q and A", "Q: ", "\nA:"),
    _around("title", "under a title", "Question\n\n"),
    _around("email", "as an email", "Subject: A question\n\nHello,\n\n", "\n\nBest regards,\nAlex"),
)

_WRAPPERS = (
    _around("quotes", "in quotation marks", '"', '"'),
    _around("bullet", "as a list item", "- "),
    _around("numbered", "as a numbered item", "1. "),
    _around("bold", "in bold", "**", "**"),
    _around("heading", "as a heading", "# "),
    perturbation("block-quote", _quoted_lines),
    perturbation("code-block", _fenced),
    _around("xml", "in an XML tag", "<question>", "</question>"),
    perturbation("json", _json),
    perturbation("table", _table),
    *_CONTEXT,
)


def wrappers() -> Variation:
    """Quotation, list item, heading, bold, code block, table, JSON, XML, email, a lead-in."""
    return either(*_WRAPPERS, name="wrappers")


def distractors(*clauses: str) -> Variation:
    """A harmless format clause appended: one of `CLAUSES`, or of those given."""
    return _after("distractors", clauses or CLAUSES)


FRAMING: tuple[Variation, ...] = (*FORMS, *_POLITENESS, *_PERSONA, *_WRAPPERS)


def framing() -> Variation:
    """One change of what stands around the prompt, or of the form that its claim is put in."""
    return either(questions(), politeness(), persona(), wrappers(), name="framing")
