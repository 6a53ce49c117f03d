"""TRL really trains a tiny checkpoint for a few steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants as hub
from safetensors.torch import load_file

from surfcheck.attribution.retraining.training import Training, content, read_training, train
from surfcheck.errors import DataError, InfrastructureError, UsageError
from surfcheck.models.checkpoint import Checkpoint, load_checkpoint
from surfcheck.models.likelihood import log_probabilities
from surfcheck.records import Message, Prompt, TrainingRow

ASKED = "is it true"
QUICK = {"max_steps": 3, "per_device_train_batch_size": 4, "learning_rate": 0.02}
TRAINING = Training(sft=QUICK, dpo=QUICK)


def rows(pairs: bool, *, templated: bool = True) -> list[TrainingRow]:
    asked = (Message("user", ASKED),)
    no = " no" if pairs else None
    return [TrainingRow(str(n), "s", asked, " yes it is", no, templated) for n in range(8)]


@pytest.fixture(scope="module")
def base(checkpoint: Callable[[str], Checkpoint], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint on disk whose template does not mark what the assistant says."""
    place = tmp_path_factory.mktemp("base")
    made = checkpoint("llama")
    assert "generation %" not in str(made.tokenizer.chat_template)
    made.model.save_pretrained(place)
    made.tokenizer.save_pretrained(place)
    return place


def weights(folder: Path) -> torch.Tensor:
    return torch.cat([each.flatten() for each in load_file(folder / "model.safetensors").values()])


def preference(folder: Path) -> tuple[float, float]:
    """How likely either answer is."""
    asked = Prompt((Message("user", ASKED),))
    pairs = [(asked, " yes it is"), (asked, " no")]
    found = log_probabilities(load_checkpoint(folder), pairs, batch_tokens=512)
    return found[0].total, found[1].total


def test_demonstrations_then_pairs(base: Path, tmp_path: Path) -> None:
    before, steps = weights(base), list[tuple[str, int, int]]()
    train(
        "sft", base, lambda: rows(False), tmp_path / "sft", TRAINING, seed=0,
        scratch=tmp_path / "scratch", progress=lambda *step: steps.append(step),
    )  # fmt: skip
    assert steps == [("training (SFT)", n, 3) for n in (1, 2, 3)]
    assert preference(tmp_path / "sft")[0] > preference(base)[0] + 1
    train(
        "dpo", tmp_path / "sft", lambda: rows(True), tmp_path / "dpo", TRAINING, seed=0,
        scratch=tmp_path / "scratch",
    )  # fmt: skip
    margins = [yes - no for yes, no in map(preference, (tmp_path / "sft", tmp_path / "dpo"))]
    assert margins[1] > margins[0] + 1
    assert torch.equal(weights(base), before)
    assert {place.name for place in tmp_path.iterdir()} == {"sft", "dpo", "scratch"}
    assert (tmp_path / "dpo" / "chat_template.jinja").read_text() == (
        base / "chat_template.jinja"
    ).read_text()


def test_the_seed_is_the_only_chance(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HF_HUB_DISABLE_TELEMETRY", False)
    told = []
    mixed = [*rows(True, templated=False), TrainingRow("x", "s", (), "a b", "b a", False)]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(
            "dpo", base, lambda: mixed, tmp_path / name, TRAINING, seed=seed,
            scratch=tmp_path / "scratch" / name,
            progress=lambda *_: told.append(hub.HF_HUB_DISABLE_TELEMETRY),
        )  # fmt: skip
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert all(told)
    assert hub.HF_HUB_DISABLE_TELEMETRY is False
    assert capsys.readouterr() == ("", "")


def test_a_checkpoint_without_a_template_stays_without(base: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in base.iterdir():
        if file.name != "chat_template.jinja":
            (bare / file.name).write_bytes(file.read_bytes())
    one = Training(sft={"max_steps": 1})
    train(
        "sft", bare, lambda: rows(False), tmp_path / "out", one, seed=0, scratch=tmp_path / "s"
    )  # fmt: skip
    assert load_checkpoint(tmp_path / "out").stops == load_checkpoint(bare).stops != ()


def test_what_trl_does_not_take_is_a_line(base: Path, tmp_path: Path) -> None:
    both = [*rows(True), *rows(True, templated=False)]
    cases: list[tuple[Sequence[TrainingRow], dict[str, object], type[Exception], str]] = [
        (both, QUICK, UsageError, "some of the preference pairs are chat messages"),
        (rows(True), {**QUICK, "loss_type": ["nonsense"]}, UsageError, "dpo: TRL can't train so"),
        (rows(True), {**QUICK, "learning_rate": 1e30}, InfrastructureError, "diverged"),
    ]
    for given, fields, kind, reason in cases:
        with pytest.raises(kind, match=reason) as caught:
            train(
                "dpo", base, lambda given=given: given, tmp_path / "out", Training(dpo=fields),
                seed=0, scratch=tmp_path / "scratch",
            )  # fmt: skip
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


# The file


@pytest.mark.parametrize(
    "text",
    [
        "sft: {max_steps: 2}\ndpo:\n  beta: 5e-1  # YAML calls this a text\n",
        '{"sft": {"max_steps": 2}, "dpo": {"beta": 0.5}}',
    ],
)
def test_yaml_and_json_alike(text: str, tmp_path: Path) -> None:
    (tmp_path / "training").write_text(text)
    assert read_training(tmp_path / "training") == Training({"max_steps": 2}, {"beta": 0.5})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sft: {max_stepz: 2}", "SFTConfig of TRL has no field 'max_stepz'"),
        ("dpo: {max_seq: 2}", "DPOConfig of TRL has no field 'max_seq'"),
        ("dpo: {output_dir: /tmp}", "output_dir is not for the training file"),
        ("sft: {report_to: wandb}", "report_to is not for the training file"),
        ("sft: {learning_rate: fast}", "sft: learning_rate is a number, and 'fast' is none"),
        ("dpo: {loss_type: [sft], loss_weights: [1, 2]}", "dpo: TRL can't train so"),
        ("rl: {max_steps: 2}", "there is no training 'rl'"),
        ("sft: 3", "is no map of maps"),
        ("[1, 2]", "is no map of maps"),
        ("sft: {", "is neither YAML nor JSON"),
    ],
)
def test_bad_files_are_named(text: str, reason: str, tmp_path: Path) -> None:
    place = tmp_path / "training.yaml"
    place.write_text(text)
    with pytest.raises(DataError) as caught:
        read_training(place)
    said = str(caught.value)
    assert said.startswith(f"{place}: ")
    assert reason in said
    assert "\n" not in said


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no such file; give \{sft"):
        read_training(tmp_path / "none")
    (tmp_path / "empty").write_text("")
    assert read_training(tmp_path / "empty") == Training()


def test_what_is_given_goes_before_what_is_usual() -> None:
    usual = Training({"max_steps": 1, "weight_decay": 0.5}, {"beta": 1.0})
    assert Training({"max_steps": 2}).over(usual) == Training(
        {"max_steps": 2, "weight_decay": 0.5}, {"beta": 1.0}
    )


def test_content_is_what_is_trained_and_no_name() -> None:
    first, second = rows(True)[:2]
    assert content(first) == content(second)
    assert content(first) != content(rows(False)[0])
    assert content(first) != content(rows(True, templated=False)[0])
    assert json.loads(content(first))[1]["chosen"][0]["content"] == " yes it is"
