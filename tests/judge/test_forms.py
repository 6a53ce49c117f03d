from __future__ import annotations

import pytest

from surfcheck.judge import forms


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("- a\n- b", (2, 0)),
        ("Here:\n\n1. a\n2) b\n   more of b\n\nDone", (2, 2)),
        ("* a\n+ b\n• c\n– d", (4, 0)),
        ("a) one\n(b) two", (2, 0)),
        ("```\n- a\n- b\n```", (2, 0)),
        ("-5 degrees\n3.5 metres", (0, 2)),
        ("Just text.", (0, 1)),
        ("", (0, 0)),
    ],
)
def test_list_items(text: str, counts: tuple[int, int]) -> None:
    assert forms.list_items(text) == counts


@pytest.mark.parametrize(
    ("text", "is_table"),
    [
        ("| a | b |\n| --- | --- |\n| 1 | 2 |", True),
        ("a | b\n--- | :-:\n1 | 2", True),
        ("Here:\n\n| a |\n|---|\n| 1 |\n\nDone", True),
        ("| a | b |\n| --- | --- |", False),
        ("| a | b |\n| 1 | 2 |", False),
        ("a - b\n---\nc", False),
        ("", False),
    ],
)
def test_table(text: str, is_table: bool) -> None:
    assert forms.has_table(text) is is_table


@pytest.mark.parametrize(
    ("text", "is_json"),
    [
        ('{"a": [1, null]}', True), ("[]", True), ("```json\n{}\n```", True),
        ("{'a': 1}", False), ("Here: {}", False), ('"text"', False), ("5", False), ("{} {}", False),
        ("", False), ("[" * 99_999, False),
    ],
    ids=lambda v: str(v)[:15],
)  # fmt: skip
def test_json(text: str, is_json: bool) -> None:
    assert forms.is_json_text(text) is is_json


@pytest.mark.parametrize(
    ("text", "has_code"),
    [
        ("```python\nx = 1\n```", True),
        ("Use this:\n\ndef f(x):\n    return x\n", True),
        ("print('hello')", True),
        ("for (int i = 0; i < 3; i++) {\n  total += i;\n}", True),
        ("SELECT name FROM people", True),
        ("<p>Hello</p>\n<p>World</p>", True),
        ("```\n```", False),
        ("Use the `print` function for this.", False),
        ("Water is wet. Fire is hot.", False),
        ("For two people:\nif you like it, take more.\nReturn it tomorrow.", False),
        ("1. Take flour.\n2. Add water.", False),
        ("", False),
    ],
)
def test_code(text: str, has_code: bool) -> None:
    assert forms.code_in(text) is has_code
