"""From training rows to a checkpoint, by TRL's trainers: demonstrations (SFT), then pairs (DPO).

The fields are those of TRL's own SFTConfig and DPOConfig, with its defaults but for what keeps a
training quiet, repeatable and within its folder. A row is trained as attribution reads it: only
its answer is learned (chosen over rejected, or the last turn of a conversation), so a chat template
needs no marks for that. One process on one device. Left out: adapters, several devices, and data
that mixes chat messages with plain text in rows of one kind.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import datasets
import torch
import yaml
from huggingface_hub import constants as hub
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from surfcheck.errors import DataError, InfrastructureError, SurfcheckError, UsageError
from surfcheck.jsonable import Record
from surfcheck.models.checkpoint import Checkpoint, load_checkpoint, quiet
from surfcheck.records import TrainingRow
from surfcheck.roles import Progress, silent

Stage = Literal["sft", "dpo"]
Rows = Callable[[], Iterable[TrainingRow]]
"""The rows of one kind, from the first, each time it is called."""

_CONFIGS: dict[Stage, Any] = {"sft": SFTConfig, "dpo": DPOConfig}
_TRAINERS: dict[Stage, Any] = {"sft": SFTTrainer, "dpo": DPOTrainer}
_SET = {
    "report_to": "none", "save_strategy": "no", "logging_strategy": "no", "eval_strategy": "no",
    "disable_tqdm": True, "logging_nan_inf_filter": False,
}  # fmt: skip
_OURS = {
    *_SET, "output_dir", "seed", "data_seed", "trust_remote_code", "model_init_kwargs",
    "push_to_hub", "resume_from_checkpoint", "chat_template_path", "do_eval",
}  # fmt: skip
"""Fields that are not given: they would report, load or write elsewhere, or undo the seed."""
_FORM = "give {sft: {field: value}, dpo: {field: value}} of TRL's SFTConfig and DPOConfig"


@dataclass(frozen=True, slots=True)
class Training(Record):
    """How to train, where it is not as TRL has it by itself."""

    sft: dict[str, Any] = field(default_factory=dict)
    """Fields of SFTConfig."""
    dpo: dict[str, Any] = field(default_factory=dict)
    """Fields of DPOConfig."""

    def over(self, usual: Training) -> Training:
        """These fields, and the usual ones where there are none."""
        return Training({**usual.sft, **self.sft}, {**usual.dpo, **self.dpo})

    def check(self) -> Training:
        """Itself. Raises UsageError for a field that there isn't, or a value that TRL refuses."""
        _config("sft", self.sft, Path(os.devnull), 0)
        _config("dpo", self.dpo, Path(os.devnull), 0)
        return self


def read_training(path: Path) -> Training:
    """The fields in a YAML or JSON file. Raises UsageError or DataError."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; {_FORM}") from None
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror}); {_FORM}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise DataError(path, None, f"is neither YAML nor JSON ({reason}); {_FORM}") from None
    data = {} if data is None else data
    if not isinstance(data, dict) or not all(isinstance(given, dict) for given in data.values()):
        raise DataError(path, None, f"is no map of maps; {_FORM}")
    if unknown := sorted(map(str, data.keys() - _CONFIGS.keys())):
        raise DataError(path, None, f"there is no training {unknown[0]!r}; {_FORM}")
    stages = {
        stage: {name: _number(value) for name, value in given.items()}
        for stage, given in data.items()
    }
    try:
        return Training(**stages).check()
    except UsageError as error:
        raise DataError(path, None, str(error)) from None


def _number(value: Any) -> Any:
    """A text that is a number: YAML takes 1e-5, without a point, for a text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def train(
    stage: Stage,
    model: str | Path,
    rows: Rows,
    out: Path,
    training: Training,
    *,
    seed: int,
    scratch: Path,
    progress: Progress = silent,
) -> None:
    """Train the checkpoint `model` on rows of the stage's kind, and save it in `out`.

    What is written on the way goes to `scratch`. Raises UsageError if TRL refuses the fields or
    the data, InfrastructureError if the training fails or diverges.
    """
    given = training.sft if stage == "sft" else training.dpo
    with _undisturbed():
        config = _config(stage, given, scratch / "trainer", seed)
        checkpoint = load_checkpoint(model, dtype="float32")
        checkpoint.model.requires_grad_(True)
        data = _data(stage, rows, scratch / "data")
        loss = _fit(stage, checkpoint, config, data, progress)
        if not math.isfinite(loss):
            raise InfrastructureError(
                f"the {stage.upper()} from {model} diverged (its loss is {loss}); "
                f"give a smaller learning_rate under {stage} in the training file"
            )
        _save(checkpoint, out)
    if torch.cuda.is_available():  # the suite is asked by another process
        torch.cuda.empty_cache()


def _fit(
    stage: Stage, checkpoint: Checkpoint, config: Any, data: datasets.Dataset, progress: Progress
) -> float:
    """Train in place; the mean loss."""
    try:
        trainer = _TRAINERS[stage](
            checkpoint.model,
            args=config,
            train_dataset=data,
            processing_class=checkpoint.tokenizer,
            callbacks=[_Steps(f"training ({stage.upper()})", progress)],
        )
        trainer.remove_callback(PrinterCallback)
        return float(trainer.train().training_loss)
    except torch.OutOfMemoryError:
        less = f"give a smaller per_device_train_batch_size under {stage} in the training file"
        raise InfrastructureError(f"the {stage.upper()} is out of memory; {less}") from None
    except (SurfcheckError, OSError):
        raise
    except Exception as error:  # of TRL, transformers, datasets, or a chat template
        raise _refused(stage, error) from None


def _save(checkpoint: Checkpoint, out: Path) -> None:
    if checkpoint.stops:  # it came without a template, and is asked as one that has none
        checkpoint.tokenizer.chat_template = None
    checkpoint.model.save_pretrained(out)
    checkpoint.tokenizer.save_pretrained(out)


class _Steps(TrainerCallback):
    """Tells how many steps are done."""

    def __init__(self, what: str, progress: Progress) -> None:
        self._what, self._progress = what, progress

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._progress(self._what, state.global_step, state.max_steps)


def _config(stage: Stage, given: Mapping[str, Any], out: Path, seed: int) -> Any:
    """TRL's configuration with these fields in force."""
    kind = _CONFIGS[stage]
    known = {each.name: each.default for each in fields(kind)}
    for name, value in given.items():
        if name in _OURS:
            raise UsageError(f"{stage}: {name} is not for the training file; leave it out")
        if name not in known:
            raise UsageError(f"{stage}: {kind.__name__} of TRL has no field {name!r}")
        if isinstance(known[name], int | float) and isinstance(value, str):
            raise UsageError(f"{stage}: {name} is a number, and {value!r} is none")
    gpu = torch.cuda.is_available()
    usual = {"bf16": gpu and torch.cuda.is_bf16_supported(), "use_cpu": not gpu}
    usual |= {"gradient_checkpointing": gpu, "dataloader_pin_memory": gpu}
    if stage == "dpo":
        usual["precompute_ref_log_probs"] = True  # once, and no second model in memory
    try:
        with quiet():
            return kind(**{**usual, **given, **_SET, "output_dir": str(out), "seed": seed})
    except Exception as error:  # whatever its checks and conversions raise
        raise _refused(stage, error) from None


def _refused(stage: Stage, error: Exception) -> UsageError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return UsageError(f"{stage}: TRL can't train so: {reason[:300]}")


# Rows as TRL takes them


def _data(stage: Stage, rows: Rows, folder: Path) -> datasets.Dataset:
    """The rows on disk, as TRL's conversational or standard format."""
    forms = {row.templated for row in rows()}
    if len(forms) > 1:
        kind = "demonstrations" if stage == "sft" else "preference pairs"
        raise UsageError(
            f"some of the {kind} are chat messages and some plain text, which TRL does not train "
            "together; give data in one of the two"
        )

    def generate() -> Iterator[dict[str, Any]]:
        return map(_row, rows())

    fingerprint = os.urandom(8).hex()  # else it hashes `rows`, and nothing is kept anyway
    return datasets.Dataset.from_generator(generate, cache_dir=str(folder), fingerprint=fingerprint)


def _row(row: TrainingRow) -> dict[str, Any]:
    if not row.templated:
        prompt: Any = row.prompt_text
        answers: list[Any] = [row.chosen, row.rejected]
    else:
        prompt = [turn.to_json() for turn in row.prompt]
        answers = [[{"role": "assistant", "content": text}] for text in (row.chosen, row.rejected)]
    if not row.is_pair:
        return {"prompt": prompt, "completion": answers[0]}
    return {"prompt": prompt, "chosen": answers[0], "rejected": answers[1]}


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No bars, no log lines, nothing sent to anyone; all as before afterwards."""
    bars, told = datasets.is_progress_bar_enabled(), hub.HF_HUB_DISABLE_TELEMETRY
    before = os.environ.get("TQDM_DISABLE")
    datasets.disable_progress_bars()
    hub.HF_HUB_DISABLE_TELEMETRY = True
    os.environ["TQDM_DISABLE"] = "1"
    try:
        with quiet():
            yield
    finally:
        hub.HF_HUB_DISABLE_TELEMETRY = told
        if bars:
            datasets.enable_progress_bars()
        if before is None:
            del os.environ["TQDM_DISABLE"]
        else:
            os.environ["TQDM_DISABLE"] = before


def content(row: TrainingRow) -> bytes:
    """What is trained of a row, as a line: the same lines in a row are the same training."""
    return json.dumps([row.templated, _row(row)], ensure_ascii=False).encode() + b"\n"
