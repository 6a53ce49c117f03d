from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surfcheck.errors import DataError, MismatchError
from surfcheck.records import Contrast, Exchange, Outcome, RunReport, Usage
from surfcheck.report.json import (
    contrast_file,
    read_exchanges,
    read_run,
    write_contrasts,
    write_run,
)


def test_a_run_is_read_as_it_was_written(tmp_path: Path, run, exchanges) -> None:
    write_run(tmp_path / "new/folder", run, exchanges)
    for path in (tmp_path / "new/folder", tmp_path / "new/folder/run.json"):
        assert read_run(path) == run
    assert read_exchanges(tmp_path / "new/folder") == exchanges


def test_the_schema_stands_first_and_the_fields_are_the_designs(tmp_path: Path, run) -> None:
    write_run(tmp_path, run, ())
    data = json.loads((tmp_path / "run.json").read_text())
    assert list(data) == [
        "schema", "target", "settings", "invariants", "failures", "attributions", "usage",
        "parameters", "judges", "comparison", "unasked",
    ]  # fmt: skip
    assert data["schema"] == "surfcheck/run/1"
    assert set(data["invariants"][0]) >= {
        "test", "outcome", "cases", "held", "violated", "undecided", "rate", "interval",
    }  # fmt: skip
    (attribution,) = data["attributions"]
    assert next(iter(attribution)) == "schema"
    assert attribution["schema"] == "surfcheck/attribution/1"
    assert set(attribution) >= {"method", "verdict", "p_value", "implicated", "sources", "test"}
    assert set(attribution["implicated"][0]) >= {"id", "source", "score", "rank"}
    assert set(attribution["sources"][0]) >= {"source", "rows", "lift", "q_value"}
    assert data["usage"] == {"calls": 1234, "remembered": 5, "tokens": 67890, "usd": None}


def test_hostile_text_is_kept_and_cannot_reach_a_terminal(tmp_path: Path, hostile_run) -> None:
    write_run(tmp_path, hostile_run, ())
    raw = (tmp_path / "run.json").read_bytes()
    assert all(byte in b"\n" or 32 <= byte < 127 for byte in raw)
    assert read_run(tmp_path) == hostile_run


@settings(max_examples=20)
@given(st.text(), st.text(), st.sampled_from(Outcome))
def test_any_exchange_survives(tmp_path_factory, prompt: str, response: str, outcome) -> None:
    folder = tmp_path_factory.mktemp("run")
    rows = (Exchange("t", prompt, response, outcome, "p"),) * 2
    write_run(folder, RunReport("t", {}, (), (), (), Usage()), rows)
    assert read_exchanges(folder) == rows


def test_writing_again_replaces_and_leaves_no_part(tmp_path: Path, run, exchanges) -> None:
    write_run(tmp_path, run, exchanges)
    write_run(tmp_path, run, exchanges[:1])
    assert len(read_exchanges(tmp_path)) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", "exchanges.jsonl"}


def test_a_failed_write_leaves_the_old_run(tmp_path: Path, run) -> None:
    write_run(tmp_path, run, ())
    with pytest.raises(TypeError):
        write_run(tmp_path, RunReport("t", {"x": object()}, (), (), (), Usage()), ())
    assert read_run(tmp_path) == run
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", "exchanges.jsonl"}


def test_contrasts_have_a_file_of_their_own_for_each_test(tmp_path: Path) -> None:
    rows = (Contrast("Hot?", "No.", "Yes."), Contrast("Cold?", None, "Ja \u202e"))
    tests = ("suite/t.py::TestIt::test_a", "suite/t.py::test_a", "../t.py::x/../y")
    for test in tests:
        write_contrasts(tmp_path, test, rows)
    assert {path.parent for path in tmp_path.rglob("*.jsonl")} == {tmp_path / "contrasts"}
    assert len({contrast_file(tmp_path, test) for test in tests}) == 3
    written = contrast_file(tmp_path, tests[0]).read_text().splitlines()
    assert [Contrast.from_json(json.loads(row)) for row in written] == list(rows)
    assert contrast_file(tmp_path, tests[0]).read_text().isascii()


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (b"{", DataError, "run.json: is no JSON"),
        (b"[]", MismatchError, "its schema is None"),
        (b'{"schema": "surfcheck/run/9"}', MismatchError, "'surfcheck/run/9' and this version"),
        (b'{"schema": "surfcheck/run/1"}', DataError, "is no RunReport: KeyError 'target'"),
        (b"\xff", DataError, "is not UTF-8"),
    ],
)
def test_what_is_no_run_is_said_in_a_line(tmp_path: Path, text: bytes, error, said: str) -> None:
    (tmp_path / "run.json").write_bytes(text)
    with pytest.raises(error) as caught:
        read_run(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_run_at_all(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="give the folder of a run"):
        read_run(tmp_path)


def test_a_bad_exchange_is_named_by_its_line(tmp_path: Path, run, exchanges) -> None:
    write_run(tmp_path, run, exchanges[:1])
    path = tmp_path / "exchanges.jsonl"
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(DataError, match=r"exchanges.jsonl:2: is no Exchange"):
        read_exchanges(tmp_path)
    path.write_text("{")
    with pytest.raises(DataError, match=r"exchanges.jsonl:1: is no JSON"):
        read_exchanges(path)
