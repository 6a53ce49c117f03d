from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from surfcheck.errors import DataError, InfrastructureError
from surfcheck.perturb.frozen import BY_HAND, Check, Kind, Rewrite, Written, read, write

PROMPT = "Is it true that water freezes at 0 °C?"
SAME, OTHER = Check("m:x", True, "The same."), Check("m:x", False, "An answer.")
LINE: dict[str, Any] = {
    "prompt": PROMPT,
    "perturbation": "rewrite",
    "text": "Does water freeze at 0 °C?",
    "model": "m:x",
    "date": "2026-11-20",
    "check": {"model": "m:x", "same": True, "reason": "The same."},
}
# Unicode without half characters, as files hold it.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


def rewrite(text: str, check: Check | None = SAME, *, model: str = "m:x") -> Rewrite:
    return Rewrite(PROMPT, "rewrite", text, model, "2026-11-20", check)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Two rewrites a prompt, for a suite in an empty folder."""
    return Written("rewrite", "", 2, str(tmp_path / "test_facts.py"))


def test_the_file_lies_beside_the_suite(written: Written, tmp_path: Path) -> None:
    assert written.path == tmp_path / "frozen" / "test_facts.jsonl"


@pytest.mark.parametrize(
    ("kind", "about", "name"),
    [
        ("rewrite", "", "rewrite"),
        ("translate", "pt-br", "translate.pt-br"),
        ("persona", "A retired teacher", "persona.a-retired-teacher"),
        ("persona", "C++ developer", "persona.c-developer-c19951"),
        ("persona", "C developer", "persona.c-developer"),
        ("persona", "一位老师", "persona.2854fc"),
        ("prefix-context", "x" * 40, "prefix-context." + "x" * 32 + "-bd913f"),
    ],
)
def test_names_are_ascii_short_and_told_apart(kind: Kind, about: str, name: str) -> None:
    assert Written(kind, about, 1, "test_x.py").name == name


def test_without_a_file_there_is_nothing(written: Written) -> None:
    assert read(written.path) == ()
    assert written.texts(PROMPT) == ()
    assert not written.path.parent.exists()


def test_a_file_where_the_folder_should_be_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "frozen").write_text("")
    assert Written("rewrite", "", 1, str(tmp_path / "test_x.py")).texts(PROMPT) == ()


@settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.lists(st.tuples(TEXT, TEXT, st.sampled_from([SAME, OTHER])), max_size=5))
def test_what_is_written_is_read(written: Written, rows: list[tuple[str, str, Check]]) -> None:
    rewrites = [replace(rewrite(text, check), prompt=prompt) for prompt, text, check in rows]
    write(written.path, rewrites)
    assert read(written.path) == tuple(rewrites)
    assert len(written.path.read_bytes().split(b"\n")) == len(rows) + 1


def test_people_can_read_it(written: Written) -> None:
    write(written.path, [rewrite("Gefriert Wasser bei 0 °C?"), rewrite("So?", None, model=BY_HAND)])
    first, second = written.path.read_text("utf-8").splitlines()
    assert first == (
        '{"prompt": "Is it true that water freezes at 0 °C?", "perturbation": "rewrite", '
        '"text": "Gefriert Wasser bei 0 °C?", "model": "m:x", "date": "2026-11-20", '
        '"check": {"model": "m:x", "same": true, "reason": "The same."}}'
    )
    assert json.loads(second)["check"] is None


def test_only_what_means_the_same_is_offered(written: Written) -> None:
    write(written.path, [rewrite("no", OTHER), rewrite("yes"), rewrite("yes"), rewrite("too")])
    assert written.texts(PROMPT) == ("yes",)  # both of the two are the same text
    assert replace(written, count=3).texts(PROMPT) == ("yes", "too")
    assert written.texts("Another prompt") == ()
    assert replace(written, kind="translate", about="fr").texts(PROMPT) == ()


def test_no_more_than_wanted_and_every_line_by_hand(written: Written) -> None:
    mine = [rewrite(f"mine {n}", None, model=BY_HAND) for n in range(3)]
    write(written.path, [rewrite("a"), mine[0], rewrite("b"), rewrite("c")])
    assert written.texts(PROMPT) == ("a", "mine 0")
    assert replace(written, count=3).texts(PROMPT) == ("a", "mine 0", "b")
    write(written.path, [rewrite("a"), *mine])
    assert written.texts(PROMPT) == ("mine 0", "mine 1", "mine 2")


def test_a_changed_file_is_read_again_and_one_that_is_not_is_not(written: Written) -> None:
    write(written.path, [rewrite("one")])
    assert written.texts(PROMPT) == ("one",)
    before = read(written.path)
    assert read(written.path) is before
    write(written.path, [rewrite("another")])
    assert written.texts(PROMPT) == ("another",)
    written.path.unlink()
    assert written.texts(PROMPT) == ()


def test_blank_lines_a_byte_order_mark_and_other_keys_are_no_matter(written: Written) -> None:
    written.path.parent.mkdir()
    row = json.dumps({**LINE, "note": "good"})
    written.path.write_bytes(f"\ufeff\r\n{row}\r\n\n".encode())
    assert written.texts(PROMPT) == ("Does water freeze at 0 °C?",)


BAD = {
    "JSON": (b"{", "is not JSON"),
    "depth": (b"[" * 100_000, "is not JSON"),
    "encoding": (b'"\xff"', "is not UTF-8"),
    "a list": (b"[]", 'is not {"prompt"'),
    "a key": (b'{"prompt": "x"}', 'is not {"prompt"'),
    "no text": ({"text": None}, "its text is no text"),
    "blank": ({"prompt": " "}, "its prompt is no text, or blank"),
    "half": ({"text": "a\ud800"}, "half a character"),
    "date": ({"date": "20 November"}, "its date is '20 November'"),
    "short date": ({"date": "20261120"}, "its date is '20261120'"),
    "no check": ({"check": None}, 'only a line whose model is "by hand"'),
    "a word": ({"check": True}, "its check is not"),
    "text for truth": ({"check": {**LINE["check"], "same": "true"}}, "its check is not"),
    "no reason": ({"check": {"model": "m", "same": True}}, "its check is not"),
    "context": ({"perturbation": "prefix-context.x"}, "does not end with the prompt"),
}


@pytest.mark.parametrize(("row", "reason"), BAD.values(), ids=BAD)
def test_a_bad_line_is_named(written: Written, row: bytes | dict[str, Any], reason: str) -> None:
    written.path.parent.mkdir()
    content = row if isinstance(row, bytes) else json.dumps({**LINE, **row}).encode()
    written.path.write_bytes(json.dumps(LINE).encode() + b"\n\n" + content)
    with pytest.raises(DataError) as caught:
        written.texts(PROMPT)
    assert (caught.value.path, caught.value.line) == (str(written.path), 3)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_written_stays_what_it_was(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(written.path, [rewrite("one")])
    with monkeypatch.context() as patched:
        patched.setattr("secrets.token_hex", lambda _: "taken")
        blocked = written.path.with_name(f"{written.path.name}.taken.part")
        blocked.mkdir()
        with pytest.raises(InfrastructureError, match="can't be written"):
            write(written.path, [rewrite("two")])
        assert written.texts(PROMPT) == ("one",)
        blocked.rmdir()
    write(written.path, [rewrite("two")])
    assert [path.name for path in written.path.parent.iterdir()] == ["test_facts.jsonl"]
