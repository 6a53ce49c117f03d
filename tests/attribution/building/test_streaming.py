"""A data set that is read again and again, and never held."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from surfcheck.attribution import corpus
from surfcheck.attribution.building.streaming import Cursor, survey
from surfcheck.errors import DataError, InfrastructureError, UsageError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twenty rows, one of them bad."""
    lines = [json.dumps({"prompt": f"is it {n}", "completion": " yes"}) for n in range(20)]
    lines[5] = "{"
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_it_is_what_reading_at_once_gives(data: Path) -> None:
    whole, streamed = (make(data, skip_bad_rows=True) for make in (corpus.read, survey))
    assert (streamed.fingerprint, streamed.files) == (whole.fingerprint, whole.files)
    assert (streamed.skipped, len(streamed.rows)) == (whole.skipped, 19) == (1, 19)
    for rows in (streamed.rows, pickle.loads(pickle.dumps(streamed.rows))):  # noqa: S301 (ours)
        assert tuple(rows) == tuple(rows) == whole.rows


def test_what_is_wrong_is_said_as_on_reading(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.jsonl:6: invalid JSON"):
        survey(data)
    with pytest.raises(UsageError, match="no such file or folder"):
        survey(tmp_path / "nowhere.jsonl")


@pytest.mark.parametrize("how", ["other", "more", "less"])
def test_a_change_since_is_noticed(data: Path, how: str) -> None:
    rows = survey(data, skip_bad_rows=True).rows
    lines = data.read_text().splitlines()
    changed = {
        "other": [*lines[:-1], lines[0]],
        "more": [*lines, json.dumps({"prompt": "and", "completion": " more"})],
        "less": lines[:-1],
    }
    data.write_text("\n".join(changed[how]).replace("is it 19", "was it 19"))
    with pytest.raises(InfrastructureError, match=r"changed while it was read; leave it as it is"):
        list(rows)


def test_runs_of_rows_in_any_order(data: Path) -> None:
    streamed = survey(data, skip_bad_rows=True)
    rows = list(streamed.rows)
    cursor = Cursor(streamed.rows)
    for first, count in ((0, 3), (3, 2), (9, 4), (1, 5), (18, 1), (0, 19)):
        assert list(cursor.take(first, count)) == rows[first : first + count]
