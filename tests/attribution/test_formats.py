"""TRL's row formats, one record at a time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surfcheck.attribution.formats import BadRowError, canonical, row
from surfcheck.records import Message, TrainingRow


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def system(text: str) -> dict[str, str]:
    return {"role": "system", "content": text}


SKY = (Message("user", "What color is the sky?"),)
TALK = [system("Be brief."), user("Hi."), said("Hello."), user("What color is the sky?")]
TALKED = tuple(Message(turn["role"], turn["content"]) for turn in TALK)  # type: ignore[arg-type]


def read(record: Any) -> TrainingRow:
    return row(record, "7", "file")


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        pytest.param(
            {"prompt": "The sky is", "chosen": " blue.", "rejected": " green."},
            ((Message("user", "The sky is"),), " blue.", " green.", False),
            id="standard-pair",
        ),
        pytest.param(
            {"chosen": "The sky is blue.", "rejected": "The sky is green."},
            ((Message("user", "The sky is"),), " blue.", " green.", False),
            id="standard-pair-implicit",
        ),
        pytest.param(
            {"prompt": "The sky is", "completion": " blue."},
            ((Message("user", "The sky is"),), " blue.", None, False),
            id="standard-demonstration",
        ),
        pytest.param(
            {
                "prompt": [user("What color is the sky?")],
                "chosen": [said("Blue.")],
                "rejected": [said("Green.")],
            },
            (SKY, "Blue.", "Green.", True),
            id="conversational-pair",
        ),
        pytest.param(
            {"chosen": [*TALK, said("Blue.")], "rejected": [*TALK, said("Green.")]},
            (TALKED, "Blue.", "Green.", True),
            id="conversational-pair-implicit",
        ),
        pytest.param(
            {
                "prompt": "What color is the sky?",
                "chosen": [user("What color is the sky?"), said("Blue.")],
                "rejected": [user("What color is the sky?"), said("Green.")],
                "messages": [user("What color is the sky?"), said("Blue.")],
            },
            (SKY, "Blue.", "Green.", True),
            id="ultrafeedback",
        ),
        pytest.param(
            {"prompt": "What color is the sky?", "chosen": [said("a")], "rejected": [said("b")]},
            (SKY, "a", "b", True),
            id="text-prompt-of-lists",
        ),
        pytest.param(
            {"prompt": [user("What color is the sky?")], "chosen": "a", "rejected": "b"},
            (SKY, "a", "b", True),
            id="list-prompt-of-texts",
        ),
        pytest.param(
            {"messages": [*TALK, said("Blue.")]},
            (TALKED, "Blue.", None, True),
            id="messages",
        ),
        pytest.param(
            {"prompt": [user("What color is the sky?")], "completion": [said("Blue.")]},
            (SKY, "Blue.", None, True),
            id="conversational-demonstration",
        ),
        pytest.param(
            {"prompt": "Q", "completion": "A", "chosen": None, "rejected": None, "messages": None},
            ((Message("user", "Q"),), "A", None, False),
            id="null-is-not-given",
        ),
        pytest.param(
            {"prompt": "", "chosen": "a", "rejected": ""},
            ((Message("user", ""),), "a", "", False),
            id="empty-prompt-and-one-empty-answer",
        ),
    ],
)
def test_formats(record: dict[str, Any], expected: tuple[Any, ...]) -> None:
    found = read(record)
    assert (found.prompt, found.chosen, found.rejected, found.templated) == expected
    assert (found.id, found.source) == ("7", "file")


def test_answers_of_several_turns_are_what_the_assistant_says() -> None:
    first = [user("Q"), said("same"), user("and?"), said("yes")]
    second = [user("Q"), said("same"), user("so?"), said("no")]
    found = read({"chosen": first, "rejected": second})
    # The user's turns differ, so the answers begin at the turn before.
    assert found.prompt == (Message("user", "Q"),)
    assert (found.chosen, found.rejected) == ("same\n\nyes", "same\n\nno")


def test_equal_conversations_part_before_the_last_answer() -> None:
    found = read({"chosen": [*TALK, said("Blue.")], "rejected": [*TALK, said("Blue.")]})
    assert (found.prompt, found.chosen, found.rejected) == (TALKED, "Blue.", "Blue.")


TAG = "\n\nAssistant:"


@pytest.mark.parametrize(
    ("chosen", "rejected", "prompt"),
    [
        # Answers that begin with the same words stay whole.
        (f"\n\nHuman: Q{TAG} I see", f"\n\nHuman: Q{TAG} I think", f"\n\nHuman: Q{TAG}"),
        # Of several shared tags the last one counts.
        (
            f"H{TAG} a\n\nHuman: b{TAG} c",
            f"H{TAG} a\n\nHuman: b{TAG} d",
            f"H{TAG} a\n\nHuman: b{TAG}",
        ),
        # Where the talk itself differs, both answers go on from the last tag in common.
        (f"H{TAG} x\n\nHuman: y{TAG} z", f"H{TAG} w", f"H{TAG}"),
        # One answer empty, or both the same: still a row.
        (f"H{TAG}", f"H{TAG} No.", f"H{TAG}"),
        (f"H{TAG} Yes.", f"H{TAG} Yes.", f"H{TAG}"),
        # No tag: TRL's rule.
        ("abc def", "abc deg", "abc de"),
        ("abc def", "abc xyz", "abc"),
        ("abc", "xyz", ""),
        (" abc", " xyz", ""),
        ("abc", "abc", "ab"),
        ("ab", "abc", "a"),
        ("", "abc", ""),
        ("ab  ", "ab  ", "a"),
    ],
)
def test_transcripts_part_where_the_answers_begin(chosen: str, rejected: str, prompt: str) -> None:
    found = read({"chosen": chosen, "rejected": rejected})
    assert found.prompt == (Message("user", prompt),)
    assert (prompt + found.chosen, prompt + str(found.rejected)) == (chosen, rejected)


def _slow_split(chosen: str, rejected: str) -> int:
    """The same rule, a character at a time."""
    same = 0
    while same < min(len(chosen), len(rejected)) and chosen[same] == rejected[same]:
        same += 1
    for end in range(same, len(TAG) - 1, -1):
        if chosen[:end].endswith(TAG):
            return end
    cuts = range(len(chosen) + 1)
    whole = same == min(len(chosen), len(rejected))
    cut = max(same - 1, 0) if whole or chosen[:same].endswith(" ") else same
    return max(
        (c for c in cuts if c <= cut and (chosen[c:].strip() or rejected[c:].strip())), default=0
    )


PIECES = st.lists(st.sampled_from(["a", "b", " ", TAG, "\n\nHuman:"]), max_size=8).map("".join)


@given(PIECES, PIECES, PIECES)
def test_halving_finds_what_counting_finds(shared: str, one: str, two: str) -> None:
    chosen, rejected = shared + one, shared + two
    try:
        found = read({"chosen": chosen, "rejected": rejected})
    except BadRowError:
        cut = _slow_split(chosen, rejected)
        assert not (chosen[cut:] + rejected[cut:]).strip()
        assert TAG in chosen or not (chosen + rejected).strip()
        return
    assert len(found.prompt_text) == _slow_split(chosen, rejected)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([1], "a list, not an object with named fields"),
        ("text", "a string, not an object"),
        (None, "null, not an object"),
        ({}, "has no fields: needs chosen and rejected"),
        ({"prompt": "a", "chosen": "b", "score": 1}, "has prompt, chosen, score: needs chosen and"),
        ({"text": "a"}, "has text: needs"),
        (
            {"chosen": "a", "rejected": [said("b")]},
            "chosen is a string and rejected is a list: give",
        ),
        ({"chosen": 1, "rejected": 2}, "chosen is a number: give a string or a list of messages"),
        ({"prompt": 1, "chosen": "a", "rejected": "b"}, "prompt is a number"),
        ({"prompt": [], "chosen": "a", "rejected": "b"}, "prompt is an empty list"),
        ({"prompt": "a", "completion": {"a": 1}}, "completion is an object"),
        ({"prompt": "a", "completion": True}, "completion is true or false"),
        ({"messages": "a"}, "messages is a string"),
        ({"messages": [user("a")]}, "messages must end with an assistant turn"),
        ({"messages": [said("a")]}, "that answers another"),
        ({"messages": [user("a"), {"role": "tool", "content": "b"}]}, "role 'tool': give system"),
        ({"messages": [user("a"), {"role": "assistant"}]}, "a turn without a content string"),
        ({"messages": [user("a"), "b"]}, "a turn without a content string"),
        ({"prompt": [user("a"), said("b")], "completion": "c"}, "prompt ends with an assistant"),
        ({"prompt": "a", "completion": [user("b")]}, "completion has no assistant turn"),
        ({"chosen": [said("a")], "rejected": [said("b")]}, "share no turn before an assistant's"),
        ({"prompt": "a", "chosen": "", "rejected": " "}, "chosen and rejected are both empty"),
        ({"prompt": "a", "completion": "\n"}, "the answer is empty"),
        ({"prompt": "a", "completion": "b", "id": [1]}, "id is a list: give a string or a number"),
        ({"prompt": "a", "completion": "b", "source": {}}, "source is an object"),
    ],
)
def test_bad_rows_say_what_is_wrong(record: Any, reason: str) -> None:
    with pytest.raises(BadRowError) as caught:
        read(record)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [0, 12, 1.5, "x-1"])
def test_ids_and_sources_are_kept_as_text(value: Any) -> None:
    found = read({"prompt": "a", "completion": "b", "id": value, "source": value})
    assert (found.id, found.source) == (str(value), str(value))


def test_an_empty_id_is_none() -> None:
    assert read({"prompt": "a", "completion": "b", "id": "", "source": None}).id == "7"


def test_canonical_content_tells_rows_apart() -> None:
    same = {"prompt": "a", "completion": "b"}
    records: list[dict[str, Any]] = [
        same,
        {**same, "id": "x"},
        {**same, "source": "x"},
        {**same, "completion": "c"},
        {"prompt": "a", "chosen": "b", "rejected": ""},
        {"prompt": [user("a")], "completion": "b"},
        {"prompt": [system("a")], "completion": "b"},
    ]
    assert len({canonical(read(record)) for record in records}) == len(records)
    assert canonical(read(same)) == canonical(read({**same, "score": 3}))
    with pytest.raises(BadRowError, match="surrogate"):
        canonical(read({"prompt": "a", "completion": "\ud800"}))
