"""What the base answers: the model as it was before the training that is being looked into.

The likeliest answer, without sampling, so that the same question has the same answer. Whether it
holds a behaviour nobody judges here.
"""

from __future__ import annotations

from collections.abc import Sequence

from surfcheck.models.checkpoint import Checkpoint
from surfcheck.models.generation import Row, generate, sampling_in_force
from surfcheck.models.template import encode_prompt
from surfcheck.records import Message
from surfcheck.roles import Progress, silent

TOGETHER = 64
"""Prompts that are asked between two steps of the progress."""
BATCH_TOKENS = 16_384


def answers(base: Checkpoint, prompts: Sequence[str], *, progress: Progress = silent) -> list[str]:
    """One answer a prompt, in order. Raises ModelError if a prompt is too long for the base."""
    sampling = sampling_in_force(base, {"temperature": 0.0})
    found: list[str] = []
    for start in range(0, len(prompts), TOGETHER):
        turns = [Message("user", prompt) for prompt in prompts[start : start + TOGETHER]]
        rows = [Row(encode_prompt(base.tokenizer, [turn]), seed=0) for turn in turns]
        given = generate(base, rows, sampling, batch_tokens=BATCH_TOKENS)
        found += [answer.text for answer in given]
        progress("asking the base", len(found), len(prompts))
    return found
