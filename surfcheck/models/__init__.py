"""Models by name: `load("hf:PATH")`. Every provider's library is imported by its first use.

hf:PATH_OR_ID           a transformers checkpoint on this machine
python:module:function  a function of list[{role, content}] to str
replay:FILE.jsonl       recorded {prompt, response} rows
"""

from __future__ import annotations

from surfcheck.errors import UsageError
from surfcheck.models.loaded import LoadedModel as LoadedModel
from surfcheck.models.memory import Memory as Memory
from surfcheck.models.memory import Remembering as Remembering
from surfcheck.models.python import Python
from surfcheck.models.replay import Replay
from surfcheck.models.spec import parse_spec

__all__ = ["LoadedModel", "Memory", "Remembering", "load"]


def load(spec: str, *, memory: Memory | None = None, label: str | None = None) -> LoadedModel:
    """The model that `spec` names, remembering its answers if there is a memory.

    `label` is the spec to show where another one was resolved to this. Raises UsageError for a
    spec that can't be read, DataError for a bad file, ModelError for a model out of reach.
    """
    parsed = parse_spec(spec)
    if parsed.provider == "replay":  # its answers are a file already
        return Replay(parsed, label=label)
    model: LoadedModel
    if parsed.provider == "hf":
        from surfcheck.models.local import Local  # noqa: PLC0415 (torch: 2 s)

        model = Local(parsed, label=label)
    elif parsed.provider == "python":
        model = Python(parsed, label=label)
    else:
        raise UsageError(
            f"{spec}: no provider {parsed.provider!r}; known are hf:, python: and replay:"
        )
    return model if memory is None else Remembering(model, memory)
