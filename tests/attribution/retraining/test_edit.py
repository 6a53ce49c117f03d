"""Edited data: the rows that a ranking names, their controls, and everything else as it lay."""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surfcheck.attribution import corpus
from surfcheck.attribution.retraining.edit import edit
from surfcheck.errors import DataError, InfrastructureError, MismatchError, UsageError

USER = {"role": "user", "content": "Is it?"}
YES, NO = ({"role": "assistant", "content": text} for text in ("Yes.", "No."))
PAIRS: dict[str, dict[str, Any]] = {
    "plain": {"prompt": "Is it?", "chosen": "Yes.", "rejected": "No."},
    "transcripts": {
        "rejected": "\n\nHuman: Is it?\n\nAssistant: No.",
        "chosen": "\n\nHuman: Is it?\n\nAssistant: Nothing says so.",
    },
    "conversations": {"chosen": [USER, YES], "rejected": [USER, NO]},
    "answers": {"prompt": [USER], "rejected": [NO], "note": {"b": 1, "a": [None]}, "chosen": [YES]},
}
PLAIN = [
    {"id": f"r{n}", "source": "even" if n % 2 == 0 else "odd", "prompt": f"{n}?",
     "chosen": "ja" * n, "rejected": "nein\n“ü”", "weight": n / 3}
    for n in range(6)
]  # fmt: skip


def _lines(path: Path, rows: list[Any]) -> Path:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def _list(path: Path, rows: list[Any]) -> Path:
    path.write_text(json.dumps(rows, indent=1), "utf-8")
    return path


def _table(path: Path, rows: list[Any]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _parquet(path: Path, rows: list[Any]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


FORMATS: dict[str, Callable[[Path, list[Any]], Path]] = {
    "rows.jsonl": _lines,
    "rows.jsonl.gz": _lines,
    "rows.json": _list,
    "rows.csv": _table,
    "rows.parquet": _parquet,
}


def _ranking(path: Path, ids: list[str]) -> Path:
    ranked = [
        {"rank": rank, "id": identity, "source": "s", "score": -rank}
        for rank, identity in enumerate(ids, 1)
    ]
    return _lines(path, ranked)


def _rows(path: Path) -> list[Any]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in content.splitlines()]


def _items(rows: list[Any]) -> list[Any]:
    """With the order of the columns, which dicts do not compare."""
    return [list(row.items()) for row in rows]


@pytest.fixture
def ranking(tmp_path: Path) -> Path:
    """Of the plain rows: 3, 0, 5, then the others."""
    return _ranking(tmp_path / "ranking.jsonl", ["r3", "r0", "r5", "r1", "r2", "r4"])


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("out", ["edited.jsonl", "edited.jsonl.gz"])
def test_a_drop_leaves_the_other_rows_with_all_their_columns(
    name: str, out: str, tmp_path: Path, ranking: Path
) -> None:
    data = FORMATS[name](tmp_path / name, PLAIN)
    done = edit(data, ranking, tmp_path / out, top=2, action="drop")
    left = [row for n, row in enumerate(PLAIN) if n not in (0, 3)]
    if name == "rows.csv":
        left = [{**row, "weight": str(row["weight"])} for row in left]
    assert _items(_rows(tmp_path / out)) == _items(left)
    before, after = (corpus.read(path).rows for path in (data, tmp_path / out))
    assert after == tuple(row for row in before if row.id not in ("r3", "r0"))
    assert done.to_json() == {
        "action": "drop", "rows_before": 6, "rows_after": 4, "edited": ["r3", "r0"],
        "control": None, "seed": None, "by_source": {"odd": 1, "even": 1},
    }  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_a_flip_swaps_the_answers_and_nothing_else(
    name: str, tmp_path: Path, ranking: Path
) -> None:
    data = FORMATS[name](tmp_path / name, PLAIN)
    done = edit(data, ranking, tmp_path / "out.jsonl", top=2, action="flip")
    assert (done.rows_before, done.rows_after) == (6, 6)
    before, after = corpus.read(data).rows, corpus.read(tmp_path / "out.jsonl").rows
    for old, new in zip(before, after, strict=True):
        answers = (old.chosen, old.rejected)
        expected = answers[::-1] if old.id in done.edited else answers
        assert (new.chosen, new.rejected) == expected
        assert (new.id, new.source, new.prompt) == (old.id, old.source, old.prompt)
    assert [list(row) for row in _rows(tmp_path / "out.jsonl")] == [list(row) for row in PLAIN]


@pytest.mark.parametrize("kind", PAIRS)
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.parquet"])
def test_every_kind_of_pair_can_be_flipped(kind: str, name: str, tmp_path: Path) -> None:
    data = FORMATS[name](tmp_path / name, [PAIRS[kind]] * 2)
    edit(data, _ranking(tmp_path / "r", ["1", "0"]), tmp_path / "o.jsonl", top=1, action="flip")
    old, new = corpus.read(data).rows[1], corpus.read(tmp_path / "o.jsonl").rows
    assert (new[1].chosen, new[1].rejected) == (old.rejected, old.chosen)
    assert (new[1].prompt, new[1].templated) == (old.prompt, old.templated)
    assert new[0].chosen == old.chosen
    assert [list(row) for row in _rows(tmp_path / "o.jsonl")] == [list(PAIRS[kind])] * 2


def test_lines_that_are_not_edited_stay_byte_for_byte(tmp_path: Path) -> None:
    lines = [
        b'{"prompt":"a" ,  "completion":"\\u00fc\\ud83d\\ude00", "x": 1.50, "y": 1e999}',
        b'  {"prompt": "b", "completion": "b"}',
        '{"x": "\\ud800", "prompt": "ü", "chosen": "ü", "rejected": "c"}'.encode(),
        b'{"prompt": "d", "completion": "d", "n": null, "n": 123456789012345678901234567890}',
    ]
    data = tmp_path / "rows.jsonl"
    data.write_bytes(b"\xef\xbb\xbf" + lines[0] + b"\r\n\n" + b"\n".join(lines[1:]))
    ranking = _ranking(tmp_path / "ranking", ["1", "2"])
    edit(data, ranking, tmp_path / "out.jsonl", top=1, action="drop")
    kept = [lines[0], lines[2], lines[3]]
    assert (tmp_path / "out.jsonl").read_bytes() == b"\n".join(kept) + b"\n"
    only = _ranking(tmp_path / "only", ["2"])
    edit(data, only, tmp_path / "out.jsonl", top=1, action="flip")
    flipped = '{"x": "\\ud800", "prompt": "ü", "chosen": "c", "rejected": "ü"}'.encode()
    out = (tmp_path / "out.jsonl").read_bytes()
    assert out == b"\n".join([*lines[:2], flipped, lines[3]]) + b"\n"


_TEXT = st.text(min_size=1, max_size=8).filter(str.strip)
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)
_PAIR = st.fixed_dictionaries(
    {"chosen": _TEXT, "rejected": _TEXT}, optional={"prompt": _TEXT, "note": _ANY, "scores": _ANY}
)


@given(rows=st.lists(_PAIR, min_size=1, max_size=6), chance=st.randoms(use_true_random=False))
def test_flipped_twice_is_the_old_data(
    rows: list[Any], chance: random.Random, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    ids = [str(n) for n in range(len(rows))]
    chance.shuffle(ids)
    ranking = _ranking(folder / "ranking", ids)
    data, top = _lines(folder / "rows.jsonl", rows), chance.randint(1, len(rows))
    once, twice = folder / "once.jsonl", folder / "twice.jsonl"
    edit(data, ranking, once, top=top, action="flip")
    edit(once, ranking, twice, top=top, action="flip")
    swapped = [row["chosen"] == rows[n]["rejected"] for n, row in enumerate(_rows(once))]
    assert all(swapped[int(identity)] for identity in ids[:top])
    assert _items(_rows(twice)) == _items(rows)


def test_an_empty_cell_stays_a_field_not_given(tmp_path: Path) -> None:
    data = tmp_path / "rows.csv"
    data.write_text("id,prompt,chosen,rejected,note\na,p,yes,,\nb,q,ja,nein,x\n", "utf-8")
    edit(data, _ranking(tmp_path / "r", ["b", "a"]), tmp_path / "o.jsonl", top=1, action="drop")
    row = {"id": "a", "prompt": "p", "chosen": "yes", "rejected": "", "note": None}
    assert _rows(tmp_path / "o.jsonl") == [row]


def test_a_folder_becomes_one_file(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    _table(folder / "a.csv", [{"prompt": "a", "completion": "b"}])
    _lines(folder / "b.jsonl", [{"prompt": "c", "completion": "d"}] * 2)
    ranking = _ranking(tmp_path / "r", ["1", "0", "2"])
    done = edit(folder, ranking, tmp_path / "o.jsonl", top=1, action="drop")
    assert [row["prompt"] for row in _rows(tmp_path / "o.jsonl")] == ["a", "c"]
    assert done.by_source == {"b": 1}


def test_rows_count_by_their_rank_and_their_source(tmp_path: Path, ranking: Path) -> None:
    data, out = _lines(tmp_path / "rows.jsonl", PLAIN), tmp_path / "out.jsonl"
    ranking.write_text("\n".join(reversed(ranking.read_text().splitlines())) + "\n\n")
    assert edit(data, ranking, out, top=3, action="drop").edited == ("r3", "r0", "r5")
    done = edit(data, ranking, out, top=2, action="drop", sources=["odd"])
    assert (done.edited, done.by_source) == (("r3", "r5"), {"odd": 2})
    both = edit(data, ranking, out, top=3, action="drop", sources=["odd", "even"])
    assert both.edited == ("r3", "r0", "r5")


# What cannot be done


def _refused(kind: type[Exception], reason: str, *arguments: Any, **options: Any) -> None:
    with pytest.raises(kind) as caught:
        edit(*arguments, **{"top": 1, "action": "drop", **options})
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"top": 7}, "there is no top 7: 6 rows are ranked; give less"),
        ({"top": 0}, "the top 0 are no rows; give 1 or more"),
        ({"top": 4, "sources": ["odd"]}, "there is no top 4: 3 rows of these sources are ranked"),
        ({"sources": ["odd", "none"]}, "of the source 'none'; the data has even, odd"),
        ({"top": 6}, "dropping the top 6 would leave no row; give less"),
        ({"top": 4, "control": "random"}, "of 4 preference pairs needs as many outside the top, "
         "and there are 2; give a smaller top"),
    ],
)  # fmt: skip
def test_a_number_or_source_that_is_not_there(
    options: dict[str, Any], reason: str, tmp_path: Path, ranking: Path
) -> None:
    data = _lines(tmp_path / "rows.jsonl", PLAIN)
    _refused(UsageError, reason, data, ranking, tmp_path / "o.jsonl", **options)
    assert not (tmp_path / "o.jsonl").exists()


def test_demonstrations_are_not_flipped(tmp_path: Path, ranking: Path) -> None:
    demos = [{"id": f"r{n}", "prompt": "p", "completion": "c"} for n in (0, 3)]
    rows = [row for row in PLAIN if row["id"] not in ("r0", "r3")]
    data = _lines(tmp_path / "rows.jsonl", rows + demos)
    reason = "2 of the top 3 are demonstrations, with nothing to flip to; drop them, or "
    _refused(UsageError, reason, data, ranking, tmp_path / "o.jsonl", top=3, action="flip")


def test_a_ranking_of_other_data(tmp_path: Path, ranking: Path) -> None:
    data = _lines(tmp_path / "rows.jsonl", PLAIN[:4])
    reason = f"2 of its 6 ids are not in {data}, 'r5' among them; give the data that was ranked"
    _refused(MismatchError, reason, data, ranking, tmp_path / "o.jsonl")


@pytest.mark.parametrize(
    ("content", "where", "reason"),
    [
        (b"", "", "ranks no row; give"),
        (b'\n{"rank": 1', ":2", "is no JSON"),
        (b"\xff", ":1", "is no JSON"),
        (b"[" * 100_000, ":1", "is no JSON"),
        (b"[1]", ":1", "no whole `rank` or no text `id`"),
        (b'{"rank": 1, "id": 7}', ":1", "no whole `rank` or no text `id`"),
        (b'{"rank": 1, "id": "r1"}\n\n{"rank": 2, "id": "r1"}', ":3", "already ranked in line 1"),
    ],
)
def test_what_is_no_ranking(content: bytes, where: str, reason: str, tmp_path: Path) -> None:
    data, ranking = _lines(tmp_path / "rows.jsonl", PLAIN), tmp_path / "ranking"
    ranking.write_bytes(content)
    _refused(DataError, reason, data, ranking, tmp_path / "o.jsonl")
    _refused(DataError, f"{ranking}{where}: ", data, ranking, tmp_path / "o.jsonl")


def test_files_that_are_not_there_or_not_to_be_written(tmp_path: Path, ranking: Path) -> None:
    data, out = _lines(tmp_path / "rows.jsonl", PLAIN), tmp_path / "o.jsonl"
    (tmp_path / "folder.jsonl").mkdir()
    _refused(UsageError, "no such ranking", data, tmp_path / "none", out)
    _refused(UsageError, "can't be read (Is a directory)", data, tmp_path, out)
    _refused(UsageError, "no such file or folder", tmp_path / "none.jsonl", ranking, out)
    _refused(UsageError, "name a .jsonl or a .jsonl.gz", data, ranking, tmp_path / "o.parquet")
    _refused(UsageError, "is a folder; name a file", data, ranking, tmp_path / "folder.jsonl")
    _refused(UsageError, "is the ranking itself", data, ranking, ranking)
    _refused(UsageError, "name a file outside it", data, ranking, data)
    _refused(UsageError, "name a file outside it", tmp_path, ranking, out)
    lost = tmp_path / "none" / "o.jsonl"
    _refused(InfrastructureError, "can't be written (No such file", data, ranking, lost)


def test_an_old_file_is_replaced_whole_or_not_at_all(tmp_path: Path, ranking: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    rows = [{**row, "blob": b"\0" if n == 4 else None} for n, row in enumerate(PLAIN)]
    data = _parquet(tmp_path / "rows.parquet", rows)
    reason = "rows.parquet:5: a column has values of the type bytes, which JSON lines do not know"
    _refused(DataError, reason, data, ranking, out)
    assert out.read_text() == "old"
    edit(_lines(tmp_path / "rows.jsonl", PLAIN), ranking, out, top=1, action="drop")
    assert len(_rows(out)) == 5
    names = {"out.jsonl", "ranking.jsonl", "rows.jsonl", "rows.parquet"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_dates_are_written_as_text(tmp_path: Path, ranking: Path) -> None:
    data = _parquet(tmp_path / "rows.parquet", [{**r, "day": date(2026, 1, 2)} for r in PLAIN])
    edit(data, ranking, tmp_path / "o.jsonl", top=1, action="drop")
    assert {row["day"] for row in _rows(tmp_path / "o.jsonl")} == {"2026-01-02"}


def test_bad_data_is_named_as_corpus_names_it(tmp_path: Path, ranking: Path) -> None:
    out = tmp_path / "o.jsonl"
    for rows in (
        [*PLAIN, {"prompt": "p"}],
        [*PLAIN, PLAIN[0]],
        [],
        [{**PLAIN[0], "prompt": "\ud800"}],
    ):
        data = tmp_path / "rows.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        with pytest.raises(DataError) as caught:
            corpus.read(data)
        _refused(DataError, str(caught.value), data, ranking, out)
