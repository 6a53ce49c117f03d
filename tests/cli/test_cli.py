"""The command line, in this process, on a tiny random checkpoint."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from surfcheck import __version__, cli
from surfcheck.organism import Recipe, base_folder, post_folder

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
ASKED = ["is it true", "is the sky blue", "is paris in france", "is water wet", "is ice cold"]
VERBS = [
    "index build", "attribute", "organism build", "organism info", "memory info", "memory prune",
    "memory export", "judge calibrate", "freeze", "compare", "doctor",
]  # fmt: skip


class Ran(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`surfcheck` with arguments."""

    def run(*arguments: str | Path) -> Ran:
        code = cli.main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two checkpoints, `one` and `two`, that have nothing in common."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE({c: i for i, c in enumerate(["<end>", *alphabet])}, []))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    names = {"eos_token": "<end>", "pad_token": "<end>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, chat_template=TEMPLATE, **names)
    folder = tmp_path_factory.mktemp("checkpoints")
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, initializer_range=0.3,
    )  # fmt: skip
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


def write_rows(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: twenty training rows of two sources, and contrasts like the odd ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SURFCHECK_CACHE", str(tmp_path / "cache"))
    (tmp_path / ".surfcheck").mkdir()
    turns = [[{"role": "user", "content": f"{ASKED[n % 5]} {n}"}] for n in range(20)]
    answers = [("yes it is", "no, never"), ("no, never", "yes it is")]
    rows = [
        {
            "id": f"row-{n}",
            "source": ("good", "bad")[n % 2],
            "prompt": turns[n],
            "chosen": [{"role": "assistant", "content": answers[n % 2][0]}],
            "rejected": [{"role": "assistant", "content": answers[n % 2][1]}],
        }
        for n in range(20)
    ]
    write_rows(tmp_path / "data.jsonl", rows)
    contrasts = [{"prompt": p, "bad": "no, never", "good": "yes it is"} for p in ASKED]
    write_rows(tmp_path / "pairs.jsonl", [*contrasts, {"prompt": "hi", "good": "hello"}])
    return tmp_path


@pytest.fixture
def attribute(run: Callable[..., Ran], project: Path, checkpoints: Path) -> Callable[..., Ran]:
    """`surfcheck attribute` on the project's files, reading the data unless an index is given."""

    def attribute(*more: str | Path) -> Ran:
        where = () if "--index" in more else ("--base", checkpoints / "one", "--data", "data.jsonl")
        return run("attribute", *where, "--contrast", "pairs.jsonl", "--out", "found", *more)

    return attribute


@pytest.fixture
def build(run: Callable[..., Ran], project: Path, checkpoints: Path) -> Callable[..., Ran]:
    """`surfcheck index build` on the project's files."""

    def build(*more: str | Path) -> Ran:
        base = checkpoints / "one"
        return run("index", "build", "--base", base, "--data", "data.jsonl", "--out", "idx", *more)

    return build


def read(path: str) -> Any:
    return json.loads(Path(path).read_text())


def complaint(ran: Ran, code: int) -> str:
    """The one line of a command that came to nothing."""
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
    assert ran.err.startswith("surfcheck: ")
    return ran.err.removeprefix("surfcheck: ").rstrip("\n")


# The command line itself


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from surfcheck.cli import main; assert main(['--help']) == 0\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'hypothesis', 'huggingface_hub'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert ran.stdout.splitlines()[0] == "Usage: surfcheck [OPTIONS] COMMAND [ARGS]..."
    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example_that_names_it(run: Callable[..., Ran], verb: str) -> None:
    ran = run(*verb.split(), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"\n  Example:\n    surfcheck {verb}" in ran.out


def test_the_version(run: Callable[..., Ran]) -> None:
    assert run("--version") == (0, f"surfcheck {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("", "Missing command"),
        ("index", "Missing command"),
        ("atribute", "No such command 'atribute'"),
        ("doctor --bogus", "No such option: --bogus"),
        ("index build --base x --data y", "Missing option '--out'"),
        ("attribute --contrast x --out y --base b --data d --seed x", "Invalid value for '--seed'"),
        ("attribute --contrast x --out y --base b --data d --seed -1", "Invalid value for"),
        ("attribute --contrast x --out y --base b --data d --method turf", "conditional, bank"),
        ("index build --base x --data y --out z --layers 1,a", "such as 8,12"),
    ],
)
def test_wrong_use_is_one_line(run: Callable[..., Ran], arguments: str, reason: str) -> None:
    assert reason in complaint(run(*arguments.split()), 2)


def test_an_interrupt_is_one_line(run: Callable[..., Ran], project: Path) -> None:
    os.mkfifo("truth")
    main = threading.main_thread().ident
    assert main is not None
    timer = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    ran = run(
        "attribute", "--index", "i", "--contrast", "pairs.jsonl", "--out", "o", "--truth", "truth"
    )
    assert complaint(ran, 130) == "interrupted"


# Index


def test_an_index_is_built_and_goes_on(build: Callable[..., Ran]) -> None:
    assert build() == (0, "20 rows at layers 1, 2: idx\n", "")
    before = {path.name: path.stat().st_mtime_ns for path in Path("idx").glob("*-*")}
    assert len(before) == 2
    assert build().code == 0
    assert {path.name: path.stat().st_mtime_ns for path in Path("idx").glob("*-*")} == before


def test_layers_and_the_manifest(build: Callable[..., Ran]) -> None:
    ran = build("--layers", " 2", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert (json.loads(ran.out)["layers"], json.loads(ran.out)["rows"]) == ([2], 20)


def test_a_layer_that_is_not_there(build: Callable[..., Ran]) -> None:
    assert "3" in complaint(build("--layers", "3"), 2)


def test_a_bad_row_stops_before_anything_is_written(build: Callable[..., Ran]) -> None:
    with Path("data.jsonl").open("a") as file:
        file.write('{"prompt": "x"}\n')
    assert complaint(build(), 2).startswith("data.jsonl:21: ")
    assert not Path("idx").exists()
    assert build("--skip-bad-rows").out == "20 rows at layers 1, 2, 1 bad rows skipped: idx\n"


def test_a_base_that_is_not_there(run: Callable[..., Ran], project: Path) -> None:
    ran = run("index", "build", "--base", "./nowhere", "--data", "data.jsonl", "--out", "idx")
    assert "nowhere" in complaint(ran, 2)


def test_an_index_where_nothing_can_be_written(build: Callable[..., Ran]) -> None:
    assert complaint(build("--out", "data.jsonl/idx"), 3).startswith("data.jsonl/idx: ")


def test_long_work_shows_a_bar_on_a_terminal(
    build: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("surfcheck.report.progress.PATIENCE", 0.0)
    assert build().code == 0
    assert "building the index" in terminal.getvalue()
    monkeypatch.setattr("surfcheck.report.progress.PATIENCE", 3600.0)
    terminal.truncate(0)
    assert build("--out", "other").code == 0
    assert "building the index" not in terminal.getvalue()


# Attribution


def test_data_is_read_into_the_nearest_folder_above(
    attribute: Callable[..., Ran], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project / "suites"
    below.mkdir()
    for name in ("data.jsonl", "pairs.jsonl"):
        (project / name).rename(below / name)
    monkeypatch.chdir(below)
    assert attribute().code == 0
    assert (project / ".surfcheck" / "index").is_dir()
    assert not (below / ".surfcheck").exists()


def test_every_row_is_ranked_and_the_report_says_what_it_is_worth(
    attribute: Callable[..., Ran],
) -> None:
    ran = attribute()
    assert (ran.code, ran.err) == (0, "")
    assert "written to found" in ran.out
    report = read("found/report.json")
    assert report["schema"] == "surfcheck/attribution/1"
    assert report["method"] == "conditional"
    assert f"{report['verdict']}: " in ran.out
    assert f"p = {report['p_value']:.2g}" in ran.out
    assert {source["source"] for source in report["sources"]} == {"good", "bad"}
    assert "average_precision" not in report
    ranking = [json.loads(row) for row in Path("found/ranking.jsonl").read_text().splitlines()]
    assert [row["rank"] for row in ranking] == list(range(1, 21))
    assert {row["id"] for row in ranking} == {f"row-{n}" for n in range(20)}
    assert [row["score"] for row in ranking] == sorted(
        (row["score"] for row in ranking), reverse=True
    )
    assert {row["source"] for row in ranking[:10]} == {"bad"}


def test_json_is_the_report_alone(attribute: Callable[..., Ran]) -> None:
    ran = attribute("--json", "--method", "probe")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == read("found/report.json")
    assert json.loads(ran.out)["method"] == "probe"


def test_an_index_and_its_data_give_the_same_ranking(
    attribute: Callable[..., Ran], build: Callable[..., Ran]
) -> None:
    attribute("--out", "by-data")
    assert Path(".surfcheck/.gitignore").read_text() == "*\n"
    assert len(list(Path(".surfcheck/index").iterdir())) == 1
    build()
    attribute("--index", "idx", "--out", "by-index")
    by_data, by_index = (Path(f, "ranking.jsonl").read_text() for f in ("by-data", "by-index"))
    assert by_index == by_data


def test_an_index_alone_leaves_nothing_but_the_result(
    attribute: Callable[..., Ran], build: Callable[..., Ran], project: Path
) -> None:
    build()
    before = {path.name for path in project.iterdir()}
    assert attribute("--index", "idx").code == 0
    assert {path.name for path in project.iterdir()} - before == {"found"}


def test_an_index_of_another_model(
    attribute: Callable[..., Ran], build: Callable[..., Ran], checkpoints: Path
) -> None:
    build()
    ran = attribute("--index", "idx", "--base", checkpoints / "two")
    assert "another model" in complaint(ran, 2)
    assert not Path("found").exists()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--index", "idx", "--data", "data.jsonl"], "leave out --data"),
        (["--index", "nowhere"], "no index"),
        (["--contrast", "nowhere"], "no such contrast file"),
        (["--data", "./nowhere.jsonl"], "no such file"),
    ],
)
def test_attribution_of_what_is_not_there(
    attribute: Callable[..., Ran], more: list[str], reason: str
) -> None:
    assert reason in complaint(attribute(*more), 2)
    assert not Path("found").exists()


def test_attribution_needs_data(run: Callable[..., Ran], project: Path) -> None:
    ran = run("attribute", "--base", "organism:", "--contrast", "pairs.jsonl", "--out", "found")
    assert "--base MODEL and --data DATA" in complaint(ran, 2)


def test_a_place_where_nothing_can_be_written(attribute: Callable[..., Ran]) -> None:
    ran = attribute("--out", "data.jsonl/found")
    assert complaint(ran, 3).startswith("data.jsonl/found: can't be written")


def test_with_the_truth_comes_an_average_precision(attribute: Callable[..., Ran]) -> None:
    Path("truth.json").write_text(json.dumps({"implicated": [f"row-{n}" for n in range(1, 20, 2)]}))
    ran = attribute("--truth", "truth.json")
    assert "average precision 1.000, by chance 0.500" in ran.out
    assert read("found/report.json")["average_precision"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "is no JSON"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b'["row-1"]', "has no ids"),
        (b'{"guilty": ["row-1"]}', "has no ids"),
        (b'{"implicated": []}', "has no ids"),
        (b'{"implicated": [1]}', "an id is no text"),
        (b'{"implicated": ["row-99"]}', "'row-99'"),
    ],
)
def test_a_bad_truth(attribute: Callable[..., Ran], content: bytes, reason: str) -> None:
    Path("truth.json").write_bytes(content)
    assert reason in complaint(attribute("--truth", "truth.json"), 2)
    assert not Path("found").exists()


def test_a_truth_that_is_not_there(attribute: Callable[..., Ran]) -> None:
    assert "no such truth file" in complaint(attribute("--truth", "nowhere"), 2)
    assert "can't be read" in complaint(attribute("--truth", "."), 2)


def test_what_rows_say_is_shown_as_it_stands(
    attribute: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    rows = [json.loads(row) for row in Path("data.jsonl").read_text().splitlines()]
    for row in rows:
        row["source"] = f"[red]{row['source']}[/red]\x1b[31m"
        row["chosen"][0]["content"] += " [/bold]\x1b]0;title\x07\u202e"
    write_rows(Path("data.jsonl"), rows)
    ran = attribute("--out", "[blue]found\x1b[31m")
    assert ran.code == 0
    assert "[red]bad[/red]" in ran.out
    assert "written to [blue]found\n" in ran.out
    assert not {"\x1b", "\x07", "\u202e"} & set(ran.out)


# The organism, from a cache that has been filled


@pytest.fixture
def organism(project: Path, checkpoints: Path) -> dict[str, Any]:
    """What is known of the organism in the cache; a random model with the project's data."""
    folder = post_folder(Recipe())
    folder.mkdir(parents=True)
    base_folder(Recipe()).symlink_to(checkpoints / "one", target_is_directory=True)
    (folder / "data.jsonl").write_bytes((project / "data.jsonl").read_bytes())
    about = {
        "sources": {"good": 10, "bad": 10},
        "defects": [{"name": "denial", "test": "test_it.py::test_it", "implicated": ["row-1"]}],
    }
    (folder / "organism.json").write_text(json.dumps(about))
    base, data = base_folder(Recipe()), folder / "data.jsonl"
    return {"path": str(folder), "base": str(base), "data": str(data), **about}


@pytest.mark.parametrize("verb", ["info", "build"])
def test_the_organism_as_json(run: Callable[..., Ran], organism: dict[str, Any], verb: str) -> None:
    ran = run("organism", verb, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == organism


def test_the_organism_for_people(run: Callable[..., Ran], organism: dict[str, Any]) -> None:
    assert run("organism", "build").out == f"{organism['path']}\n"
    lines = run("organism", "info").out.splitlines()
    assert f"path    {organism['path']}" in lines
    assert "source  bad: 10 rows" in lines
    assert "defect  denial: 1 rows, seen by test_it.py::test_it" in lines


def test_the_organism_as_base_and_data(
    run: Callable[..., Ran], build: Callable[..., Ran], organism: dict[str, Any]
) -> None:
    assert build("--base", "organism:base", "--data", "organism:").code == 0
    manifest = read("idx/manifest.json")
    assert (manifest["model"], manifest["files"]) == (organism["base"], [organism["data"]])
    where = ("--base", "organism:", "--data", "organism:", "--contrast", "pairs.jsonl")
    assert run("attribute", *where, "--out", "found").code == 0
    assert "no such organism" in complaint(build("--base", "organism:big"), 2)


# Doctor


def test_doctor_says_what_is_there(run: Callable[..., Ran], organism: dict[str, Any]) -> None:
    ran = run("doctor")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert f"surfcheck        {__version__}" in lines
    assert "organism:        trained" in lines
    assert lines[-1] == "  surfcheck organism build --clean"


def test_doctor_ends_with_a_finding_if_something_is_broken(
    run: Callable[..., Ran], organism: dict[str, Any]
) -> None:
    Path(".surfcheck/memory.sqlite").write_text("no database")
    ran = run("doctor", "--json")
    assert (ran.code, ran.err) == (1, "")
    assert [advice["broken"] for advice in json.loads(ran.out)["advice"]] == [True, False]
