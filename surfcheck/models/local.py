"""`hf:PATH_OR_ID`: a transformers checkpoint on this machine.

The weights are loaded with the first question, so that a run whose answers are all remembered
never waits for them. Loading is in `checkpoint`, drawing in `generation`, scoring in `likelihood`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property

from surfcheck.errors import UsageError
from surfcheck.models.checkpoint import DTYPES, Checkpoint, load_checkpoint, precision
from surfcheck.models.generation import Row, Sampling, generate, sampling_in_force
from surfcheck.models.likelihood import LogProbability, log_probabilities
from surfcheck.models.loaded import Then
from surfcheck.models.location import fingerprint
from surfcheck.models.spec import Reader, Spec, number, one_of, whole
from surfcheck.models.template import encode_prompt
from surfcheck.records import Prompt, Response
from surfcheck.roles import Ask

BATCH_TOKENS = 16_384

_PARAMETERS: dict[str, Reader] = {
    "temperature": number(0),
    "top_p": number(0.001, 1),
    "top_k": whole(0),
    "max_tokens": whole(1),
    "dtype": one_of(*DTYPES),
    "device": str,
    "batch_tokens": whole(1),
    "seed": whole(0),
}
_DRAWING = ("max_tokens", "seed", "temperature", "top_k", "top_p")


class Local:
    """A checkpoint as a Model; also gives log-probabilities."""

    def __init__(self, spec: Spec, *, label: str | None = None) -> None:
        """Raises UsageError for a wrong parameter or no checkpoint, ModelError if out of reach."""
        self._given = spec.read(_PARAMETERS)
        if self._given.get("temperature") == 0 and not {"top_p", "top_k"}.isdisjoint(self._given):
            raise UsageError(f"{spec}: temperature 0 draws nothing; leave out top_p and top_k")
        self._path = spec.name
        self._spec = label or str(spec)
        self._dtype = precision(self._given.get("dtype"), self._given.get("device"))
        self._fingerprint = fingerprint(spec.name)

    @property
    def spec(self) -> str:
        """How it was named."""
        return self._spec

    @property
    def identity(self) -> str:
        """The checkpoint's fingerprint, its dtype, and what was said of drawing.

        What was not said is in the checkpoint's own generation_config, which the fingerprint
        covers.
        """
        said = {key: self._given[key] for key in _DRAWING if key in self._given}
        return f"hf:{self._fingerprint}:{self._dtype}:{json.dumps(said)}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done instead of what the checkpoint lacks; loads it."""
        return self.checkpoint.notes

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The loaded checkpoint. Raises ModelError if it can't be loaded."""
        return load_checkpoint(self._path, dtype=self._dtype, device=self._given.get("device"))

    @cached_property
    def sampling(self) -> Sampling:
        """How answers are drawn: what was given, else the checkpoint's own."""
        return sampling_in_force(self.checkpoint, self._given)

    def ask(self, asks: Sequence[Ask]) -> list[Response]:
        """One response an ask, in order; the same ask gives the same answer in any company.

        Raises ModelError if the checkpoint can't be loaded or a prompt is too long for it.
        """
        if not asks:
            return []
        checkpoint, sampling = self.checkpoint, self.sampling
        # Without sampling all samples are one.
        drawn = [ask if sampling.temperature else ask._replace(sample=0) for ask in asks]
        rows = {
            ask: Row(encode_prompt(checkpoint.tokenizer, ask.prompt.messages), self._seed(ask))
            for ask in dict.fromkeys(drawn)
        }
        found = generate(checkpoint, list(rows.values()), sampling, batch_tokens=self._batch_tokens)
        answers = dict(zip(rows, found, strict=True))
        return [
            Response(
                prompt=ask.prompt,
                text=answers[same].text,
                model=self._spec,
                sample=ask.sample,
                finish_reason=answers[same].finish_reason,
                prompt_tokens=len(rows[same].ids),
                completion_tokens=answers[same].tokens,
            )
            for ask, same in zip(asks, drawn, strict=True)
        ]

    def known(self, asks: Sequence[Ask]) -> int:
        """None: nothing is remembered here."""
        return 0

    def expect(self, asks: Sequence[Ask], then: Then | None = None) -> None:
        """Nothing: answers come in batches, and the first ask brings the whole one."""

    def log_probabilities(self, pairs: Sequence[tuple[Prompt, str]]) -> list[LogProbability]:
        """How likely each response is given its prompt, in order. Raises ModelError."""
        if not pairs:
            return []
        return log_probabilities(self.checkpoint, pairs, batch_tokens=self._batch_tokens)

    @property
    def _batch_tokens(self) -> int:
        return int(self._given.get("batch_tokens", BATCH_TOKENS))

    def _seed(self, ask: Ask) -> int:
        named = json.dumps([ask.prompt.to_json(), ask.sample, self._given.get("seed", 0)])
        return int.from_bytes(hashlib.sha256(named.encode()).digest()[:7])
