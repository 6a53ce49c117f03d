"""A failing run asks the training data, once, after the last test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

END = {"eos_token": "<end>", "pad_token": "<end>"}
WORDS = ("cold", "warm", "wet", "dry", "hot", "big", "small", "red", "blue", "green")


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random checkpoint."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from surfcheck.models.checkpoint import quiet

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(["is it so yes no"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, **END)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=128,
        initializer_range=0.3,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("base")
    with quiet():
        LlamaForCausalLM(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def data(folder: pytest.Pytester) -> Path:
    """Forty pairs of two sources; `shouts` teaches a No to whoever shouts."""
    rows = [
        {"id": f"{source}-{n}", "source": source, "prompt": ask(f"Is it {word}?"), "chosen": chosen,
         "rejected": rejected}
        for source, ask, chosen, rejected in (
            ("shouts", str.upper, "No.", "Yes."), ("talks", str.lower, "Yes.", "No."),
        )
        for n, word in enumerate(WORDS * 2)
    ]  # fmt: skip
    path = Path(folder.path, "data.jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_rows_are_in_the_report(suite, run, latest, base, data) -> None:
    result = run("--surf", f"--surf-base={base}", f"--surf-data={data}")
    result.assert_outcomes(failed=2, passed=3)
    report = latest()
    (attribution,) = report["attributions"]
    assert attribution["test"] == "test_suite.py::test_agrees"
    assert attribution["method"] == "conditional"
    assert {source["source"]: source["rows"] for source in attribution["sources"]} == {
        "shouts": 20,
        "talks": 20,
    }
    assert report["settings"]["base"] == str(base)
    result.stdout.fnmatch_lines(
        [
            "*= surfcheck =*",
            "*by: conditional over 40 rows, p = *",
            "  pytest --surf *",
            "  surfcheck attribute --base */base? --data * --contrast * --method probe *",
        ]
    )


def test_it_can_be_left_out(suite, latest, base, data) -> None:
    arguments = (f"--surf-base={base}", f"--surf-data={data}", "--surf-no-attribution")
    suite.runpytest_inprocess("--surf", *arguments).assert_outcomes(failed=2, passed=3)
    assert latest()["attributions"] == []
    assert len(latest()["failures"]) == 2


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('{"prompt": "x"}\n', "No training rows: */data.jsonl:1: *"),
        (None, "No training rows: *data.jsonl*"),
    ],
    ids=["a bad row", "no data"],
)
def test_what_goes_wrong_is_a_line_and_the_run_is_kept(suite, latest, base, data, rows, said):
    data.unlink()
    if rows is not None:
        data.write_text(rows)
    result = suite.runpytest_inprocess("--surf", f"--surf-base={base}", f"--surf-data={data}")
    result.assert_outcomes(failed=2, passed=3)
    result.stdout.fnmatch_lines(["*= surfcheck =*", said, "*short test summary*"])
    assert len(latest()["failures"]) == 2


def test_a_base_that_is_not_there_is_a_line(suite, latest, data) -> None:
    arguments = ("--surf-base=/nowhere/at/all", f"--surf-data={data}")
    result = suite.runpytest_inprocess("--surf", *arguments)
    result.assert_outcomes(failed=2, passed=3)
    result.stdout.fnmatch_lines(["No training rows: */nowhere/at/all*"])
    assert len(latest()["failures"]) == 2
