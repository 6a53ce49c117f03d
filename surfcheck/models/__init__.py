"""Models by name: `load("hf:PATH")`. Every provider's library is imported by its first use.

openai:NAME             OpenAI, and with ?base_url=… any server that speaks its API
anthropic:NAME          Anthropic
google:NAME             Google
xai:NAME                xAI
hf:PATH_OR_ID           a transformers checkpoint on this machine
python:module:function  a function of list[{role, content}] to str
replay:FILE.jsonl       recorded {prompt, response} rows
"""

from __future__ import annotations

from surfcheck.errors import UsageError
from surfcheck.models.budget import Budget as Budget
from surfcheck.models.budget import Price
from surfcheck.models.endpoint import read_price
from surfcheck.models.engine import Engine as Engine
from surfcheck.models.engine import Terms, unpriced
from surfcheck.models.hosted import Hosted as Hosted
from surfcheck.models.loaded import LoadedModel as LoadedModel
from surfcheck.models.memory import Memory as Memory
from surfcheck.models.memory import Remembering as Remembering
from surfcheck.models.metered import Metered
from surfcheck.models.provider import Provider
from surfcheck.models.python import Python
from surfcheck.models.replay import Replay
from surfcheck.models.spec import Spec, parse_spec

__all__ = ["Budget", "Engine", "Hosted", "LoadedModel", "Memory", "Remembering", "load"]


def load(
    spec: str,
    *,
    memory: Memory | None = None,
    engine: Engine | None = None,
    label: str | None = None,
) -> LoadedModel:
    """The model that `spec` names, remembering its answers if there is a memory.

    Without an `engine`, a model that needs one has its own, which ends with it. `label` is the
    spec to show where another one was resolved to this. Raises UsageError for a spec that can't
    be read, DataError for a bad file, ModelError for a model out of reach.
    """
    parsed = parse_spec(spec)
    if parsed.provider == "replay":  # its answers are a file already
        return Replay(parsed, label=label)
    if parsed.provider == "hf":
        from surfcheck.models.local import Local  # noqa: PLC0415 (torch: 2 s)

        local: LoadedModel = Local(parsed, label=label)
        if engine is not None:
            local = Metered(local, engine)
        return local if memory is None else Remembering(local, memory)
    own = engine or Engine()
    provider, terms = _provider(parsed, own, label), _terms(parsed)
    bounded = own.budget is not None and own.budget.usd is not None
    paid = terms.price is not None and (terms.price.usd_in or terms.price.usd_out)
    if bounded and paid and parsed.provider == "python":
        raise UsageError(
            f"{spec}: a function does not say how many tokens it took, so no ceiling in dollars "
            "can be kept; give --surf-max-calls instead"
        )
    if bounded and terms.price is None and parsed.provider != "xai":  # its replies name a price
        raise UsageError(unpriced(spec))
    return Hosted(provider, own, memory, terms=terms)


def _provider(spec: Spec, engine: Engine, label: str | None) -> Provider:
    try:
        match spec.provider:  # the SDKs take up to 1 s each
            case "python":
                return Python(spec, label=label, threads=engine.ceiling)
            case "openai":
                from surfcheck.models.openai import OpenAI  # noqa: PLC0415

                return OpenAI(spec, label=label)
            case "anthropic":
                from surfcheck.models.anthropic import Anthropic  # noqa: PLC0415

                return Anthropic(spec, label=label)
            case "google":
                from surfcheck.models.google import Google  # noqa: PLC0415

                return Google(spec, label=label)
            case "xai":
                from surfcheck.models.xai import XAI  # noqa: PLC0415

                return XAI(spec, label=label)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{spec}: there is no module {error.name!r} here; "
            f"pip install 'surfcheck[{spec.provider}]'"
        ) from None
    raise UsageError(
        f"{spec}: no provider {spec.provider!r}; known are openai:, anthropic:, google:, xai:, "
        "hf:, python: and replay:"
    )


def _terms(spec: Spec) -> Terms:
    """What stands in the spec for the engine; the provider has checked it."""
    names = ("timeout", "usd_in", "usd_out")
    given = {name: float(spec.parameters[name]) for name in names if name in spec.parameters}
    price = read_price(spec, given)
    return Terms(timeout=given.get("timeout"), price=None if price is None else Price(*price))
