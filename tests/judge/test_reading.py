from __future__ import annotations

import pytest

from surfcheck.judge import reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("...", []),
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Smith, e.g. from the U.S. office, paid 3.50 euros.", None),
        ("He said \"no.\" Then he left", ["He said \"no.\"", "Then he left"]),
        ("- One\n- Two", ["One", "Two"]),
        ("1. One\n2) Two", ["One", "Two"]),
        ("# Title\n**Yes**, indeed", ["Title", "Yes, indeed"]),
        ("> quoted", ["quoted"]),
        ("| Answer |\n| --- |\n| Yes |", ["Answer", "Yes"]),
        ("Answer: Yes.", ["Yes."]),
        ('{"answer": "Yes.", "why": ["it", true, 3], "more": null}', ["Yes.", "it", "True", "3"]),
        ("```json\n{\"answer\": \"No.\"}\n```", ["No."]),
        ("I can’t\u200b   say", ["I can't say"]),
        ("はい。水は凍ります。", ["はい。", "水は凍ります。"]),
    ],
)  # fmt: skip
def test_sentences(text: str, expected: list[str] | None) -> None:
    assert reading.sentences(text) == ([text] if expected is None else expected)


def test_prose_and_code() -> None:
    parts = reading.parts("Look:\n```python\nx = 1\n```\nDone\n~~~\n```\n~~~\n```\nopen")
    assert parts.prose == "Look:\nDone"
    assert parts.code == ("x = 1", "```", "open")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (" [1, 2]\n", [1, 2]),
        ("```json\n[1]\n```", [1]),
        ("5", None),
        ("Sure: {}", None),
        ('{"a": 1', None),
        ("[" * 100_000, None),
    ],
    ids=lambda v: str(v)[:20],
)
def test_json(text: str, value: object) -> None:
    assert reading.as_json(text) == value
