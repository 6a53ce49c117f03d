"""The command line in this process, a project for it, and tiny random checkpoints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from surfcheck import cli
from surfcheck.organism import TESTS, TRUE_FACTS, Recipe, base_folder, post_folder

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
ASKED = ["is it true", "is the sky blue", "is paris in france", "is water wet", "is ice cold"]


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


@pytest.fixture(scope="session")
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
def build(run: Callable[..., Ran], project: Path, checkpoints: Path) -> Callable[..., Ran]:
    """`surfcheck index build` on the project's files."""

    def build(*more: str | Path) -> Ran:
        base = checkpoints / "one"
        return run("index", "build", "--base", base, "--data", "data.jsonl", "--out", "idx", *more)

    return build


@pytest.fixture
def organism(project: Path, checkpoints: Path) -> dict[str, Any]:
    """What is known of the organism in the cache; a random model with the project's data."""
    folder = post_folder(Recipe())
    folder.mkdir(parents=True)
    base_folder(Recipe()).symlink_to(checkpoints / "one", target_is_directory=True)
    (folder / "data.jsonl").write_bytes((project / "data.jsonl").read_bytes())
    about: dict[str, Any] = {
        "sources": {"good": 10, "bad": 10},
        "defects": [{"name": TRUE_FACTS, "implicated": ["row-1"]}],
    }
    (folder / "organism.json").write_text(json.dumps(about))
    base, data = base_folder(Recipe()), folder / "data.jsonl"
    about["defects"] = [{**about["defects"][0], "test": TESTS[TRUE_FACTS]}]
    return {"path": str(folder), "base": str(base), "data": str(data), **about}
