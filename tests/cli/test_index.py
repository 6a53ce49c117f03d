"""`surfcheck index info`, `verify` and `merge`, in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from surfcheck import cli


class Ran(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """`surfcheck index` with arguments."""

    def run(*arguments: str) -> Ran:
        code = cli.main(["index", *arguments])
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that reads 64 tokens."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = Tokenizer(models.BPE({c: i for i, c in enumerate(["<end>", *alphabet])}, []))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<end>",  # noqa: S106 (no password)
        pad_token="<end>",  # noqa: S106
        chat_template="{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("base")
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def built(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the indexes `left` and `right`, of four rows each."""
    from surfcheck.attribution import corpus
    from surfcheck.attribution.building import indexing
    from surfcheck.models.checkpoint import load_checkpoint

    checkpoint = replace(load_checkpoint(base), path="tiny", fingerprint="f" * 64)
    folder = tmp_path_factory.mktemp("built")
    for name in ("left", "right"):
        records = [{"id": f"{name}-{n}", "prompt": "is it", "completion": " yes"} for n in range(4)]
        data = folder / f"{name}.jsonl"
        data.write_text("\n".join(map(json.dumps, records)))
        read = corpus.read(data)
        indexing.build(checkpoint, read, folder / name, layers=(1, 2), shard_rows=2)
    return folder


@pytest.fixture(autouse=True)
def here(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder: copies of both indexes."""
    import shutil

    for name in ("left", "right"):
        shutil.copytree(built / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SURFCHECK_CACHE", str(tmp_path / "cache"))


def flip(name: str) -> None:
    content = bytearray(Path(name).read_bytes())
    content[len(content) // 2] ^= 1
    Path(name).write_bytes(content)


@pytest.mark.parametrize("verb", ["build", "info", "verify", "merge"])
def test_every_verb_has_an_example(run: Callable[..., Ran], verb: str) -> None:
    ran = run(verb, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"\n  Example:\n    surfcheck index {verb}" in ran.out


def test_build_says_what_was_cut_and_what_says_nothing(run: Callable[..., Ran], base: Path) -> None:
    pairs = [("yes", "no"), ("", "no"), ("yes " * 40, "no"), ("yes", "")]
    rows = [json.dumps({"prompt": "is it", "chosen": c, "rejected": r}) for c, r in pairs]
    Path("data.jsonl").write_text("\n".join([*rows, "{"]))
    wanted = ("build", "--base", str(base), "--data", "data.jsonl", "--out", "made")
    assert "data.jsonl:5: invalid JSON" in run(*wanted).err
    wanted = (*wanted, "--skip-bad-rows")
    said = "4 rows at layers 1, 2, 1 bad rows skipped, 1 cut at 64 tokens, 2 with an empty answer"
    assert run(*wanted) == (0, f"{said}, of which nothing can be said: made\n", "")
    without = run(*wanted, "--no-likelihood")
    assert without.code == 2
    assert "another choice of likelihoods" in without.err
    made = run(*wanted[:-2], "memory://cli/made", "--skip-bad-rows", "--no-likelihood", "--json")
    assert json.loads(made.out)["likelihood"] is False
    assert run("verify", "memory://cli/made").out.endswith("as written: memory://cli/made\n")
    Path("data.jsonl").write_text("\n".join(rows[:3]))
    assert "holds an index of another data set" in run(*wanted).err


def test_ray_that_is_not_there(
    run: Callable[..., Ran], base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "surfcheck.attribution.building.on_ray", raising=False)
    monkeypatch.delattr("surfcheck.attribution.building.on_ray", raising=False)
    Path("data.jsonl").write_text(json.dumps({"prompt": "is it", "completion": " yes"}))
    ran = run("build", "--base", str(base), "--data", "data.jsonl", "--out", "o", "--engine", "ray")
    assert (ran.code, ran.out) == (2, "")
    assert "--engine ray needs ray: pip install 'surfcheck[ray]', or leave it out" in ran.err


def test_info(run: Callable[..., Ran], built: Path) -> None:
    ran = run("info", "left")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0] == "path    left"
    assert lines[1] == "model   tiny (ffffffffffff), float32"
    assert lines[2].startswith("layers  1, 2, 16 wide, rows cut at ")
    assert lines[3].startswith(f"data    {built}/left.jsonl (")
    assert lines[4] == "rows    4, 4 done, 0 cut, 0 bad ones left out"
    assert lines[5].endswith(" kB in 2 shards")
    found = json.loads(run("info", "left", "--json").out)
    assert (found["rows"], found["shards"], found["layers"]) == (4, 2, [1, 2])


def test_verify(run: Callable[..., Ran]) -> None:
    assert run("verify", "left") == (0, "4 rows in 2 shards are as written: left\n", "")
    flip("left/vectors-00001.safetensors")
    Path("left/rows-00000.parquet").unlink()
    ran = run("verify", "left")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.splitlines() == [
        "left/rows-00000.parquet: is missing",
        "left/vectors-00001.safetensors: does not match its checksum",
        "to repair, run `surfcheck index build` again with the same arguments; "
        "what is good is kept",
    ]
    ran = run("verify", "left", "--json")
    assert ran.code == 1
    found = json.loads(ran.out)
    assert (found["whole"], found["rows"]) == (False, 0)
    assert [fault["file"] for fault in found["faults"]] == [
        "rows-00000.parquet",
        "vectors-00001.safetensors",
    ]


def test_verify_a_manifest_that_is_wrong(run: Callable[..., Ran]) -> None:
    path = Path("left/manifest.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "rows": 5}))
    ran = run("verify", "left")
    assert ran.code == 1
    assert ran.out.splitlines() == [
        "left/manifest.json: its shards end at row 4 and not 5",
        "its manifest is wrong: delete left and build it anew",
    ]


def test_merge(run: Callable[..., Ran]) -> None:
    assert run("merge", "left", "right", "--out", "both") == (
        0, "8 rows of 2 indexes: both\n", "",
    )  # fmt: skip
    assert "merged  from 2 indexes" in run("info", "both").out
    flip("both/rows-00003.parquet")
    assert "run `surfcheck index merge` again" in run("verify", "both").out
    assert json.loads(run("merge", "left", "right", "--out", "both", "--json").out)["rows"] == 8
    assert run("verify", "both").code == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("info nowhere", "nowhere: no index"),
        ("verify nowhere", "nowhere: no index"),
        ("merge left nowhere --out both", "nowhere: no index"),
        ("merge left --out both", "two indexes or more"),
        ("merge left left --out both", "row id 'left-0' is in left as well"),
        ("merge left right", "Missing option '--out'"),
        ("info nothing://left", "nothing://left: Protocol not known"),
        ("build --base b --data d --out both --engine spark", "no engine 'spark'; use local or"),
    ],
)
def test_wrong_use_is_one_line(run: Callable[..., Ran], arguments: str, reason: str) -> None:
    ran = run(*arguments.split())
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert reason in ran.err
    assert not Path("both").exists()
