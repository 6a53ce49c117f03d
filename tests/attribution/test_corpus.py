"""Training data from files: every format, every way in which one can be bad."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from surfcheck.attribution import corpus
from surfcheck.attribution.corpus import RowText
from surfcheck.errors import DataError, InfrastructureError, UsageError
from surfcheck.records import Message, TrainingRow

HARMLESS = Path(__file__).parents[3] / "shared" / "data" / "hh_harmless_test.jsonl.gz"
PAIR = {"id": "p", "source": "s", "prompt": "The sky is", "chosen": " blue.", "rejected": " green."}
DEMO = {"id": "d", "source": "t", "prompt": "Ça va ?", "completion": "Oui,\n“ça va”, merci."}
BOTH = [PAIR, DEMO]


def _jsonl(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def _jsonl_gz(path: Path, rows: list[Any]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _json(path: Path, rows: list[Any]) -> None:
    path.write_text(json.dumps(rows, indent=2), "utf-8")


def _csv(path: Path, rows: list[Any]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def _parquet(path: Path, rows: list[Any]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    pq.write_table(pa.table({name: [row.get(name) for row in rows] for name in names}), path)


FORMATS: dict[str, Callable[[Path, list[Any]], None]] = {
    "rows.jsonl": _jsonl,
    "rows.jsonl.gz": _jsonl_gz,
    "rows.json": _json,
    "rows.csv": _csv,
    "rows.parquet": _parquet,
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    FORMATS[name](tmp_path / name, BOTH)
    found = corpus.read(tmp_path / name)
    assert found.rows == (
        TrainingRow("p", "s", (Message("user", "The sky is"),), " blue.", " green.", False),
        TrainingRow("d", "t", (Message("user", "Ça va ?"),), "Oui,\n“ça va”, merci.", None, False),
    )
    assert found.files == (str(tmp_path / name),)
    assert found.skipped == 0
    _jsonl(tmp_path / "other.jsonl", BOTH)
    assert corpus.read(tmp_path / "other.jsonl").fingerprint == found.fingerprint
    assert found.fingerprint != hashlib.sha256().hexdigest()


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.parquet"])
def test_conversations_survive_formats_that_hold_lists(name: str, tmp_path: Path) -> None:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi."}]
    answer = {"role": "assistant", "content": "Hello."}
    FORMATS[name](tmp_path / name, [{"messages": [*turns, answer]}, {"messages": [*turns, answer]}])
    found = corpus.read(tmp_path / name).rows
    assert [row.id for row in found] == ["0", "1"]
    assert found[0].prompt == (Message("system", "Be brief."), Message("user", "Hi."))
    assert (found[0].chosen, found[0].source, found[0].templated) == ("Hello.", "rows", True)


def test_a_folder_is_its_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / ".cache").mkdir()
    bare = {"prompt": "a", "completion": "b"}
    _jsonl(tmp_path / "b.v2.jsonl", [bare, bare])
    _csv(tmp_path / "a.csv", [bare])
    _jsonl_gz(tmp_path / "more" / "c.jsonl.gz", [bare])
    _jsonl(tmp_path / ".cache" / "d.jsonl", [bare])
    (tmp_path / "README.md").write_text("not data")
    found = corpus.read(tmp_path)
    assert [(row.id, row.source) for row in found.rows] == [
        ("0", "a"),
        ("1", "b.v2"),
        ("2", "b.v2"),
        ("3", "c"),
    ]
    assert [Path(name).name for name in found.files] == ["a.csv", "b.v2.jsonl", "c.jsonl.gz"]


def test_a_json_file_may_hold_lines(tmp_path: Path) -> None:
    _jsonl(tmp_path / "rows.json", BOTH)
    assert [row.id for row in corpus.read(tmp_path / "rows.json").rows] == ["p", "d"]


def test_a_mark_of_byte_order_and_blank_lines_are_no_rows(tmp_path: Path) -> None:
    text = f"\n{json.dumps(PAIR)}\n  \n{json.dumps(DEMO)}"
    (tmp_path / "rows.jsonl").write_text(text, "utf-8")
    assert len(corpus.read(tmp_path / "rows.jsonl").rows) == 2
    (tmp_path / "rows.jsonl").write_text(text[1:], "utf-8-sig")
    assert len(corpus.read(tmp_path / "rows.jsonl").rows) == 2


def _refused(data: Path | str, *, where: str, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        corpus.read(data)
    message = str(caught.value)
    assert where in message
    assert reason in message
    assert "\n" not in message


def test_bad_lines_are_named_and_can_be_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps(PAIR), "{broken", "[1]", '{"prompt": "a"}', "", json.dumps(DEMO)]
    path.write_text("\n".join(lines), "utf-8")
    _refused(path, where="rows.jsonl:2: ", reason="invalid JSON: ")
    found = corpus.read(path, skip_bad_rows=True)
    assert [row.id for row in found.rows] == ["p", "d"]
    assert found.skipped == 3
    path.write_text("\n".join([*lines[:1], *lines[2:]]), "utf-8")
    _refused(path, where="rows.jsonl:2: ", reason="a list, not an object")


def test_numbers_count_bad_rows_too(tmp_path: Path) -> None:
    _jsonl(tmp_path / "rows.jsonl", [{"a": 1}, {"prompt": "a", "completion": "b"}])
    assert corpus.read(tmp_path / "rows.jsonl", skip_bad_rows=True).rows[0].id == "1"


def test_ids_given_twice_are_named_with_both_lines(tmp_path: Path) -> None:
    _jsonl(tmp_path / "a.jsonl", [DEMO, PAIR])
    _jsonl(tmp_path / "b.jsonl", [PAIR])
    reason = f"id 'p' was already given at {tmp_path / 'a.jsonl'}:2"
    _refused(tmp_path, where="b.jsonl:1: ", reason=reason)
    assert corpus.read(tmp_path, skip_bad_rows=True).skipped == 1


def test_other_encodings_are_named_with_their_byte(tmp_path: Path) -> None:
    good = json.dumps(PAIR) + "\n"
    bad = json.dumps(DEMO, ensure_ascii=False)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(good.encode() + bad.encode("cp1252"))
    at = len(good) + bad.index("Ç")
    _refused(path, where="rows.jsonl:2: ", reason=f"not UTF-8 at byte {at}; save it as UTF-8")
    assert corpus.read(path, skip_bad_rows=True).skipped == 1
    path.write_bytes(good.encode("utf-16"))
    _refused(path, where="rows.jsonl:1: ", reason="not UTF-8 at byte 0")
    (tmp_path / "rows.csv").write_bytes("prompt,completion\na,b\nÇ,d\n".encode("latin-1"))
    _refused(tmp_path / "rows.csv", where="rows.csv:3: ", reason="not UTF-8 at byte 22")


@pytest.mark.parametrize(
    ("name", "content", "where", "reason"),
    [
        ("a.jsonl", b"", "a.jsonl: ", "no rows"),
        ("a.jsonl", b"\n \n", "a.jsonl: ", "no rows"),
        ("a.json", b"[]", "a.json: ", "no rows"),
        ("a.json", b"", "a.json: ", "no rows"),
        ("a.csv", b"prompt,completion\n", "a.csv: ", "no rows"),
        ("a.json", b'[\n{"prompt": "a", "completion": "b"},\n{"a": 1}]', "a.json:3: ", "has a"),
        (
            "a.json",
            b'[\n{"prompt": "a", "completion": "b"},\n{"a" 1}]',
            "a.json:3: ",
            "invalid JSON",
        ),
        ("a.json", b'[{"prompt": "a", "completion": "b"}', "a.json:1: ", "invalid JSON"),
        ("a.json", b'[{"prompt": "a", "completion": "b"}]\n[]', "a.json:1: ", "one list a file"),
        ("a.json", b'{\n"data": []}', "a.json:1: ", "invalid JSON"),
        ("a.csv", b"prompt,completion\na,b\nc,d,e\n", "a.csv:3: ", "more cells than the header"),
        ("a.csv", b'prompt,completion\n"a\nb",c\nd,\n', "a.csv:4: ", "has prompt: needs"),
        ("a.parquet", b"PAR1 not", "a.parquet: ", "not a readable Parquet file"),
        ("a.jsonl.gz", b"not gzip", "a.jsonl.gz: ", "damaged gzip file"),
        ("a.jsonl.gz", gzip.compress(b"{}\n" * 999)[:-9], "a.jsonl.gz:1: ", "has no fields"),
        ("a.jsonl.gz", gzip.compress(b"\n" * 9)[:-9], "a.jsonl.gz: ", "damaged gzip file"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl:1: ", "invalid JSON"),
    ],
)
def test_files_that_cannot_be_read(
    name: str, content: bytes, where: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    _refused(tmp_path / name, where=where, reason=reason)


def test_nothing_but_bad_rows_is_an_error(tmp_path: Path) -> None:
    _jsonl(tmp_path / "rows.jsonl", [{"a": 1}])
    with pytest.raises(DataError, match="not one good row"):
        corpus.read(tmp_path / "rows.jsonl", skip_bad_rows=True)


def test_empty_cells_of_a_table_are_not_given(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,prompt,chosen,rejected,completion\n,a,b,,\n,c,,,d\n", "utf-8")
    pair, demonstration = corpus.read(path).rows
    assert (pair.id, pair.chosen, pair.rejected) == ("0", "b", "")
    assert (demonstration.chosen, demonstration.rejected) == ("d", None)


def test_parquet_rows_are_named_by_number(tmp_path: Path) -> None:
    _parquet(tmp_path / "rows.parquet", [PAIR, {"prompt": "a"}])
    _refused(tmp_path / "rows.parquet", where="rows.parquet:2: ", reason="has prompt: needs")
    _parquet(tmp_path / "rows.parquet", [{"text": "a"}])
    _refused(tmp_path / "rows.parquet", where="rows.parquet:1: ", reason="has text: needs")


def test_data_that_is_not_there(tmp_path: Path) -> None:
    for missing in (tmp_path / "none.jsonl", tmp_path / "none", "none.jsonl", "a/b/c"):
        with pytest.raises(UsageError, match="no such file or folder; give training data"):
            corpus.read(missing)
    (tmp_path / "notes.txt").write_text("hello")
    for useless in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(UsageError, match=r"no training data; give one of \*.jsonl"):
            corpus.read(useless)


def test_a_hub_out_of_reach_is_an_error_of_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InfrastructureError) as caught:
        corpus.read("surfcheck/none-such")
    message = str(caught.value)
    assert message.startswith("surfcheck/none-such: no such file, and not to be had as a dataset")
    assert "\n" not in message


def test_a_dataset_is_read_like_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    _jsonl(tmp_path / "rows.jsonl", [dict(row, score=1) for row in BOTH])
    monkeypatch.setattr(
        datasets,
        "load_dataset",
        lambda name, split: datasets.Dataset.from_json(
            str(tmp_path / "rows.jsonl"), split=split, cache_dir=str(tmp_path / "cache")
        ),
    )
    found = corpus.read("surfcheck/pairs")
    assert found.rows == corpus.read(tmp_path / "rows.jsonl").rows
    assert found.files == ("surfcheck/pairs",)


def test_what_a_person_reads() -> None:
    one = TrainingRow("1", "s", (Message("user", "Hi."),), "Hello.", None)
    assert RowText.of(one) == ("1", "s", "Hi.", "Hello.", None)
    turns = (Message("system", "Be brief."), Message("user", "Hi."))
    assert RowText.of(TrainingRow("1", "s", turns, "a", "b")).prompt == (
        "system: Be brief.\n\nuser: Hi."
    )


@pytest.mark.skipif(not HARMLESS.is_file(), reason="needs hh_harmless_test.jsonl.gz in shared/data")
def test_no_real_row_is_lost() -> None:
    found = corpus.read(HARMLESS)
    with gzip.open(HARMLESS, "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    assert len(found.rows) == len(records) == 2312
    assert found.skipped == 0
    for row, record in zip(found.rows, records, strict=True):
        assert row.prompt_text + row.chosen == record["chosen"]
        assert row.prompt_text + str(row.rejected) == record["rejected"]
        assert row.prompt_text.endswith("\n\nAssistant:")
        assert not row.templated
        assert row.chosen.strip() or str(row.rejected).strip()
    assert sum(not row.chosen.strip() for row in found.rows) == 4  # kept as they are
    assert {row.source for row in found.rows} == {"hh_harmless_test"}
    assert len({row.id for row in found.rows}) == 2312
