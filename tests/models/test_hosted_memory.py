"""What memory and refused parameters change in what is asked."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from surfcheck.errors import BudgetReached, InfrastructureError, ModelError
from surfcheck.models.budget import Budget
from surfcheck.models.engine import Engine, Terms
from surfcheck.models.hosted import Hosted
from surfcheck.models.memory import Memory
from surfcheck.models.provider import Parameters, Reply, Unsupported
from surfcheck.records import Response
from surfcheck.roles import Ask
from surfcheck.settings import MemoryMode
from tests.models.scripted import ASKS, QUICK, Answer, Scripted, echo


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(backoff=QUICK) as engine:
        yield engine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.sqlite"


def refusing(*names: str) -> Answer:
    """Refuses these parameters, one at a time."""

    async def answer(ask: Ask, parameters: Parameters) -> Reply:
        for name in names:
            if name in parameters:
                await asyncio.sleep(0)
                raise Unsupported(name)
        return await echo(ask, parameters)

    return answer


def test_a_refused_parameter_is_dropped_once(engine: Engine) -> None:
    provider = Scripted(refusing("seed", "temperature"), notes=("has no top_k",))
    model = Hosted(provider, engine)
    assert model.notes == ("has no top_k",)
    found = model.ask(ASKS)
    assert len(provider.asked) == len(ASKS) + 2
    assert found[0].parameters == {}
    assert model.notes == (
        "has no top_k",
        "api:model does not take seed: asked without",
        "api:model does not take temperature: asked without",
    )


def test_a_parameter_that_is_refused_late_is_dropped_for_all(engine: Engine) -> None:
    async def answer(ask: Ask, parameters: Parameters) -> Reply:
        await asyncio.sleep(0.001)
        if "seed" in parameters and ask != ASKS[0]:
            raise Unsupported("seed")
        return Reply("yes")

    model = Hosted(Scripted(answer), engine)
    assert model.ask(ASKS[:1])[0].parameters == {"temperature": 1, "seed": 2}
    assert {str(each.parameters) for each in model.ask(ASKS[1:])} == {"{'temperature': 1}"}


def test_what_a_model_refuses_is_known_in_the_next_run(engine: Engine, path: Path) -> None:
    for calls, asks in ((11, ASKS[:10]), (10, ASKS[10:20]), (0, ASKS[:20])):
        provider = Scripted(refusing("seed"))
        with Memory(path, "auto") as memory:
            found = Hosted(provider, engine, memory).ask(asks)
        assert len(provider.asked) == calls
        assert found[0].parameters == {"temperature": 1}
    with Memory(path, "replay") as memory:  # the same question as without the parameter
        model = Hosted(Scripted(parameters={"temperature": 1}), engine, memory)
        assert model.ask(ASKS[:20]) == found


def test_refusing_what_was_not_given_is_an_error(engine: Engine) -> None:
    async def answer(ask: Ask, parameters: Parameters) -> Reply:
        raise Unsupported("top_p")

    with pytest.raises(ModelError, match="refuses top_p, with which it was not asked"):
        Hosted(Scripted(answer), engine).ask(ASKS[:1])


@pytest.mark.parametrize(
    "change",
    [{"identity": "api:other"}, {"parameters": {"temperature": 0, "seed": 2}}, {"parameters": {}}],
)
def test_another_model_or_parameter_is_another_question(
    change: dict[str, Any], engine: Engine, path: Path
) -> None:
    with Memory(path, "auto") as memory:
        Hosted(Scripted(), engine, memory).ask(ASKS)
        other = Scripted(**change)
        Hosted(other, engine, memory).ask(ASKS[:5])
        again = Scripted(spec="a label", lane="another account")
        assert Hosted(again, engine, memory).ask(ASKS[:1])[0].model == "a label"
    assert (len(other.asked), len(again.asked)) == (5, 0)


def test_memory_gives_back_the_whole_answer(engine: Engine, path: Path) -> None:
    async def answer(ask: Ask, parameters: Parameters) -> Reply:
        return Reply(f"{ask.prompt.text} é\u2028", "refusal", 3, 4, "can't", -1.5, 0.25)

    def ask() -> list[Response]:
        with Memory(path, "auto") as memory:
            return Hosted(Scripted(answer), engine, memory).ask(ASKS)

    first = ask()
    assert ask() == [replace(each, remembered=True) for each in first]


@pytest.mark.parametrize(("mode", "known"), [("auto", 3), ("record", 0), ("replay", 3)])
def test_what_memory_knows_is_counted(
    mode: MemoryMode, known: int, engine: Engine, path: Path
) -> None:
    with Memory(path, "auto") as memory:
        Hosted(Scripted(), engine, memory).ask(ASKS[:3])
    provider = Scripted()
    with Memory(path, mode) as memory:
        assert Hosted(provider, engine, memory).known(ASKS) == known
    assert Hosted(provider, engine).known(ASKS) == 0
    assert provider.asked == []


@pytest.mark.parametrize(("mode", "calls"), [("auto", 0), ("record", 3), ("off", 3), ("replay", 0)])
def test_modes(mode: MemoryMode, calls: int, engine: Engine, path: Path) -> None:
    with Memory(path, "auto") as memory:
        Hosted(Scripted(), engine, memory).ask(ASKS[:3])

    async def answer(ask: Ask, parameters: Parameters) -> Reply:
        return Reply("anew")

    provider = Scripted(answer)
    with Memory(path, mode) as memory:
        model = Hosted(provider, engine, memory)
        found = [model.ask(ASKS[:3]) for _ in range(2)]
    assert len(provider.asked) == calls  # once in a process
    assert {each.text == "anew" for batch in found for each in batch} == {calls > 0}
    with Memory(path, "replay") as memory:
        kept = Hosted(Scripted(), engine, memory).ask(ASKS[:3])
    assert {each.text == "anew" for each in kept} == {mode == "record"}


def test_replay_never_asks(engine: Engine, path: Path) -> None:
    with Memory(path, "auto") as memory:
        Hosted(Scripted(), engine, memory).ask(ASKS[:3])
    provider = Scripted()
    with Memory(path, "replay") as memory:
        model = Hosted(provider, engine, memory)
        model.expect(ASKS)
        with pytest.raises(ModelError) as caught:
            model.ask(ASKS[:5])
    assert str(caught.value) == (
        f"{path} has no answer of api:model to 'question 3' (2 in all); run with memory auto"
    )
    assert provider.asked == []


def test_a_budget_stops_new_calls_and_not_remembered_ones(path: Path) -> None:
    with Memory(path, "auto") as memory:
        budget = Budget(calls=40, memory=memory, run="run")
        with Engine(budget=budget) as engine:
            provider = Scripted()
            model = Hosted(provider, engine, memory)
            with pytest.raises(BudgetReached, match="40 are made"):
                model.ask(ASKS)
            assert len(provider.asked) == 40
            answered = model.ask(provider.asked)
            assert [each.remembered for each in answered] == [True] * 40


def test_a_memory_that_cannot_be_written_is_said(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    model = Hosted(Scripted(), engine, Memory(tmp_path / "file" / "memory.sqlite", "auto"))
    with pytest.raises(InfrastructureError, match="run with memory off"):
        model.ask(ASKS)


def test_what_another_process_asks_in_vain_is_taken_over(engine: Engine, path: Path) -> None:
    with Memory(path, "auto") as first, Memory(path, "auto") as second:
        released, tried = threading.Event(), list[Ask]()

        async def fails(ask: Ask, parameters: Parameters) -> Reply:
            tried.append(ask)
            while not released.is_set():
                await asyncio.sleep(0.001)
            raise ModelError("malformed")

        with Engine() as other:
            failing = Hosted(Scripted(fails), other, first, terms=Terms(timeout=30))
            failing.expect(ASKS[:1])
            while not tried:
                time.sleep(0.001)
            provider = Scripted()
            model = Hosted(provider, engine, second)
            model.expect(ASKS[:1])
            time.sleep(0.05)
            assert provider.asked == []  # it waits for the other
            released.set()
            assert model.ask(ASKS[:1])[0].text == "QUESTION 0"
