"""A transformers checkpoint in memory: model, tokenizer, and what had to be done to use it.

Safetensors only, no remote code, and nothing of transformers' loading talk on the terminal.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from surfcheck.errors import ModelError, UsageError
from surfcheck.models.location import Location, fingerprint, locate
from surfcheck.models.template import PLAIN_STOPS, plain_template

DTYPES = ("float32", "bfloat16", "float16")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A causal language model, ready to be asked or read."""

    path: str
    """Folder or hub id."""
    fingerprint: str
    """Changes with weights, configuration, tokenizer or chat template."""
    model: PreTrainedModel
    """In evaluation mode, on its device, in its dtype."""
    tokenizer: PreTrainedTokenizerBase
    """Always with a chat template, if need be a plain one."""
    stops: tuple[str, ...]
    """Texts at which an answer ends beside the end-of-sequence token."""
    notes: tuple[str, ...]
    """What was done instead of what the checkpoint lacks, a sentence each."""

    @property
    def longest(self) -> int | None:
        """How many tokens the model reads at most; None if it has no limit."""
        # Not every configuration has the field.
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return limit if isinstance(limit, int) and limit > 0 else None


def load_checkpoint(
    path: str | Path, *, dtype: str | None = None, device: str | None = None
) -> Checkpoint:
    """Load a folder or hub id.

    `device` is CUDA where there is one, else the CPU; `dtype` is as in `precision`.
    Raises UsageError if it is no checkpoint or the device isn't there, ModelError if it can't be
    loaded whole.
    """
    location = locate(path)
    target = _device(device)
    with quiet():
        tokenizer, model = _load(location, getattr(torch, precision(dtype, device)))
        model.to(target)  # type: ignore[arg-type]  # a decorator hides the signature
    model.requires_grad_(False)  # from_pretrained has put it in evaluation mode
    stops: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    if not tokenizer.chat_template:
        tokenizer.chat_template, stops = plain_template(tokenizer), PLAIN_STOPS
        notes = (
            f"{location.name} has no chat template; it is asked in plain "
            "'User: …' / 'Assistant:' lines.",
        )
    for note in notes:
        _log.warning(note)
    return Checkpoint(location.name, fingerprint(path), model, tokenizer, stops, notes)


def precision(dtype: str | None, device: str | None) -> str:
    """The dtype in force: what is given, else bfloat16 on CUDA and float32 elsewhere.

    Raises UsageError if the device isn't there.
    """
    return dtype or ("bfloat16" if _device(device).type == "cuda" else "float32")


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings, progress bars or log lines from transformers inside; as before afterwards."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _device(name: str | None) -> torch.device:
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"no device {name!r} here ({reason}); leave it out or give cpu") from None
    return device


def _load(
    location: Location, dtype: torch.dtype
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    where = {"revision": location.commit} if location.commit else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(location.name, trust_remote_code=False, **where)
    except Exception as error:
        raise _unloadable(location, "tokenizer", error) from None
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            location.name,
            dtype=dtype,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **where,
        )
    except Exception as error:
        raise _unloadable(location, "model", error) from None
    model, report = loaded
    if report["missing_keys"]:
        first = min(report["missing_keys"])
        raise ModelError(
            f"{location.name}: {len(report['missing_keys'])} weights are missing ({first}, …); "
            "download or save it again"
        )
    return tokenizer, model


def _unloadable(location: Location, part: str, error: Exception) -> ModelError | UsageError:
    # transformers raises a dozen kinds of errors here, most of them many lines long.
    reason = " ".join(str(error).split()) or type(error).__name__
    if "trust_remote_code" in reason:
        return UsageError(
            f"{location.name}: runs its own code, which is never done; "
            "give a checkpoint of an architecture that transformers knows"
        )
    shown = reason if len(reason) <= 200 else reason[:199] + "…"
    return ModelError(f"{location.name}: its {part} can't be loaded: {shown}")
