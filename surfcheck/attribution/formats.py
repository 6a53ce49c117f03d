"""From one record of a data set to one `TrainingRow`, in the formats that TRL trains on.

    prompt, chosen, rejected     a preference pair; strings or lists of {role, content}
    chosen, rejected             the same with the prompt inside both: whole transcripts
    messages                     a demonstration; the last turn is the answer
    prompt, completion           a demonstration; strings or lists of {role, content}

Strings are TRL's *standard* format and are trained as they stand (`templated=False`, the prompt is
one turn with the raw text); lists are *conversational* and get the chat template. An answer of
several turns is its assistant turns, a blank line between them. A field that is null counts as not
given. Left out: `text`-only rows, images, tools, and turns of other roles.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, get_args

from surfcheck.records import Message, Role, TrainingRow

FIELDS = ("id", "source", "prompt", "chosen", "rejected", "messages", "completion")
_NEEDED = "needs chosen and rejected (with or without prompt), messages, or prompt and completion"
_TAG = "\n\nAssistant:"
_ROLES = get_args(Role)


class BadRowError(ValueError):
    """What is wrong with a record; the reader of the file adds where."""


def row(record: Any, number: str, source: str) -> TrainingRow:
    """The row of a record; `number` and `source` are its id and source where it gives none.

    Raises BadRowError if the record is none of the formats, is of the wrong types, or is empty.
    """
    if not isinstance(record, dict):
        raise BadRowError(f"{_kind(record)}, not an object with named fields")
    given = {name: record[name] for name in FIELDS if record.get(name) is not None}
    prompt, chosen, rejected, templated = _sides(given, record)
    if not chosen.strip() and not (rejected or "").strip():
        what = "the answer is" if rejected is None else "chosen and rejected are both"
        raise BadRowError(f"{what} empty: there is nothing to learn from it")
    identity, origin = _name(given, "id") or number, _name(given, "source") or source
    return TrainingRow(identity, origin, prompt, chosen, rejected, templated)


def canonical(row: TrainingRow) -> bytes:
    """The content of a row as one line, for hashing. Raises BadRowError if it is not Unicode."""
    turns = [[turn.role, turn.content] for turn in row.prompt]
    content = [row.id, row.source, turns, row.chosen, row.rejected, row.templated]
    try:
        return json.dumps(content, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        raise BadRowError("a text has half of a surrogate pair: not valid Unicode") from None


_Sides = tuple[tuple[Message, ...], str, str | None, bool]


def _sides(given: dict[str, Any], record: dict[str, Any]) -> _Sides:
    """Prompt, chosen, rejected and whether the chat template goes around them."""
    if "chosen" in given and "rejected" in given:
        return _pair(given)
    if "messages" in given:
        turns = _turns(given["messages"], "messages")
        if turns[-1].role != "assistant" or len(turns) < 2:
            raise BadRowError("messages must end with an assistant turn that answers another")
        return turns[:-1], turns[-1].content, None, True
    if "prompt" in given and "completion" in given:
        prompt, answer = given["prompt"], given["completion"]
        if isinstance(prompt, str) and isinstance(answer, str):
            return (Message("user", prompt),), answer, None, False
        return _before(prompt), _answer(answer, "completion"), None, True
    there = ", ".join(str(name) for name in record if record[name] is not None)
    raise BadRowError(f"has {there or 'no fields'}: {_NEEDED}")


def _pair(given: dict[str, Any]) -> _Sides:
    prompt, chosen, rejected = given.get("prompt"), given["chosen"], given["rejected"]
    if isinstance(chosen, str) != isinstance(rejected, str):
        kinds = f"chosen is {_kind(chosen)} and rejected is {_kind(rejected)}"
        raise BadRowError(f"{kinds}: give both as strings or both as lists of messages")
    if isinstance(chosen, str) and prompt is None:
        cut = _split(chosen, rejected)
        return (Message("user", chosen[:cut]),), chosen[cut:], rejected[cut:], False
    if isinstance(chosen, str) and isinstance(prompt, str):
        return (Message("user", prompt),), chosen, rejected, False
    if not isinstance(chosen, str):
        good, bad = _turns(chosen, "chosen"), _turns(rejected, "rejected")
        # Lists that begin before the answer are whole conversations; a `prompt` beside them,
        # as in UltraFeedback, only repeats the user's words.
        if prompt is None or (good[0].role != "assistant" and bad[0].role != "assistant"):
            cut = _split_turns(good, bad)
            return good[:cut], _said(good[cut:], "chosen"), _said(bad[cut:], "rejected"), True
    return _before(prompt), _answer(chosen, "chosen"), _answer(rejected, "rejected"), True


def _split(chosen: str, rejected: str) -> int:
    """Where the answers begin in two whole transcripts.

    Transcripts in the manner of hh-rlhf part after the last "Assistant:" that they share, so that
    answers which begin with the same words stay whole. Other strings part where TRL's
    `extract_prompt` parts them: at the first difference, before a space that precedes it; a
    character earlier if one text begins the other; and never with two blank answers.
    """
    same, end = 0, min(len(chosen), len(rejected))
    while same < end:  # halving: comparing slices runs in C
        middle = (same + end + 1) // 2
        if chosen[same:middle] == rejected[same:middle]:
            same = middle
        else:
            end = middle - 1
    tag = chosen.rfind(_TAG, 0, same)
    if tag >= 0:
        return tag + len(_TAG)
    cut = same
    if same and (same == min(len(chosen), len(rejected)) or chosen[same - 1] == " "):
        cut -= 1
    while cut and not (chosen[cut:].strip() or rejected[cut:].strip()):
        cut -= 1
    return cut


def _split_turns(chosen: tuple[Message, ...], rejected: tuple[Message, ...]) -> int:
    """The first turn that differs (the last, if none does), or the nearest before it at which
    both sides answer."""
    shorter = min(len(chosen), len(rejected))
    cut = next((i for i in range(shorter) if chosen[i] != rejected[i]), shorter - 1)
    while cut and not chosen[cut].role == rejected[cut].role == "assistant":
        cut -= 1
    if not cut:
        raise BadRowError("chosen and rejected share no turn before an assistant's answer")
    return cut


def _before(prompt: Any) -> tuple[Message, ...]:
    if isinstance(prompt, str):
        return (Message("user", prompt),)
    turns = _turns(prompt, "prompt")
    if turns[-1].role == "assistant":
        raise BadRowError("prompt ends with an assistant turn: put that turn into the answer")
    return turns


def _answer(value: Any, name: str) -> str:
    return value if isinstance(value, str) else _said(_turns(value, name), name)


def _said(turns: Sequence[Message], name: str) -> str:
    said = [turn.content for turn in turns if turn.role == "assistant"]
    if not said:
        raise BadRowError(f"{name} has no assistant turn")
    return "\n\n".join(said)


def _turns(value: Any, name: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        kind = "an empty list" if value == [] else _kind(value)
        raise BadRowError(f"{name} is {kind}: give a string or a list of messages")
    for turn in value:
        if not isinstance(turn, dict) or not isinstance(turn.get("content"), str):
            raise BadRowError(f"{name} has a turn without a content string")
        if turn.get("role") not in _ROLES:
            role = turn.get("role")
            raise BadRowError(f"{name} has the role {role!r}: give system, user or assistant")
    return tuple(Message(turn["role"], turn["content"]) for turn in value)


def _name(given: dict[str, Any], field: str) -> str:
    value = given.get(field, "")
    if not isinstance(value, str | int | float):
        raise BadRowError(f"{field} is {_kind(value)}: give a string or a number")
    return str(value)


def _kind(value: Any) -> str:
    words = {str: "a string", list: "a list", dict: "an object", bool: "true or false"}
    return words.get(type(value), "null" if value is None else "a number")
