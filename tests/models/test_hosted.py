"""Every question once, whoever asks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from surfcheck.errors import ModelError, UsageError
from surfcheck.models.engine import Engine, Unanswered
from surfcheck.models.hosted import Hosted
from surfcheck.models.memory import Memory
from surfcheck.models.provider import Parameters, Reply, Transient
from surfcheck.records import Prompt, Response
from surfcheck.roles import Ask
from tests.models.scripted import ASKS, QUICK, Scripted, echo


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(backoff=QUICK) as engine:
        yield engine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "memory.sqlite"


def test_answers_come_in_order_and_whole(engine: Engine) -> None:
    async def answer(ask: Ask, parameters: Parameters) -> Reply:
        await asyncio.sleep(0.002 * (ask.prompt.text[-1] < "5"))
        return Reply(ask.prompt.text, "refusal", 3, 4, "can't", -1.5, 0.25)

    found = Hosted(Scripted(answer), engine).ask(ASKS)
    assert [each.text for each in found] == [ask.prompt.text for ask in ASKS]
    assert found[7] == Response(
        ASKS[7].prompt, "question 7", "api:model", 1, "refusal", 3, 4, False,
        "can't", -1.5, 0.25, {"temperature": 1, "seed": 2},
    )  # fmt: skip
    assert Hosted(Scripted(), engine).ask([]) == []


def test_nothing_given_means_nothing_in_force(engine: Engine) -> None:
    (found,) = Hosted(Scripted(parameters={}), engine).ask(ASKS[:1])
    assert found.parameters is None


def test_a_thousand_equal_questions_are_one_call(engine: Engine, path: Path) -> None:
    for mode in ("auto", "off"):
        provider = Scripted(identity=mode)
        with Memory(path, mode) as memory:
            models = [Hosted(provider, engine, memory) for _ in range(2)]
            found = models[0].ask(ASKS[:1] * 500) + models[1].ask(ASKS[:1] * 500)
        assert len(provider.asked) == 1
        assert [each.remembered for each in found] == [False] + [True] * 999
        assert {each.text for each in found} == {"QUESTION 0"}
    assert engine.usage.calls == 2


def test_threads_that_ask_the_same_share_the_calls(engine: Engine) -> None:
    provider, found = Scripted(), list[list[Response]]()
    model = Hosted(provider, engine)
    threads = [threading.Thread(target=lambda: found.append(model.ask(ASKS))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(provider.asked) == len(ASKS)
    fresh = [each for batch in found for each in batch if not each.remembered]
    assert (len(found), len(fresh)) == (4, len(ASKS))


def test_what_is_expected_is_begun_and_joined(engine: Engine) -> None:
    there, on = threading.Event(), set[str]()
    heard: list[Response] = []

    def then(response: Response) -> None:
        on.add(threading.current_thread().name)
        heard.append(response)
        if len(heard) == len(ASKS):
            there.set()

    provider = Scripted()
    model = Hosted(provider, engine)
    model.expect(ASKS, then)
    assert there.wait(10)
    assert on == {"surfcheck"}
    found = model.ask(ASKS)
    assert len(provider.asked) == len(ASKS)
    assert not any(each.remembered for each in found)
    assert sorted(heard, key=_by_text) == sorted(found, key=_by_text)


def _by_text(response: Response) -> tuple[str, int]:
    return response.text, response.sample


def test_one_model_can_wait_for_another(engine: Engine) -> None:
    """A judge is asked about each answer as it comes, from the engine's own thread."""
    target, judge = Scripted(), Scripted(spec="api:judge", identity="api:judge")
    judging = Hosted(judge, engine)

    def about(response: Response) -> Ask:
        return Ask(Prompt.of(f"judge {response.text}"))

    Hosted(target, engine).expect(ASKS, lambda response: judging.expect([about(response)]))
    found = Hosted(target, engine).ask(ASKS)
    verdicts = judging.ask([about(response) for response in found])
    assert len(judge.asked) == len({ask.prompt for ask in ASKS}) == len(verdicts)


def test_what_is_remembered_is_told_too(engine: Engine, path: Path) -> None:
    with Memory(path, "auto") as memory:
        Hosted(Scripted(), engine, memory).ask(ASKS[:3])
    heard, there = list[Response](), threading.Event()

    def then(response: Response) -> None:
        heard.append(response)
        if len(heard) == 3:
            there.set()

    with Memory(path, "replay") as memory:
        Hosted(Scripted(), engine, memory).expect(ASKS, then)
        assert there.wait(10)
    assert all(each.remembered for each in heard)


def test_an_expected_error_waits_for_who_asks_and_is_forgotten(engine: Engine) -> None:
    failed = threading.Event()

    async def answer(ask: Ask, parameters: Parameters) -> Reply:
        if not failed.is_set():
            failed.set()
            raise ModelError("prompt is too long; shorten it")
        return await echo(ask, parameters)

    model = Hosted(Scripted(answer), engine)
    model.expect(ASKS[:1])
    assert failed.wait(5)
    with pytest.raises(ModelError, match="too long"):
        model.ask(ASKS[:1])
    assert model.ask(ASKS[:1])[0].text == "QUESTION 0"


def test_the_first_question_goes_alone(engine: Engine) -> None:
    provider = Scripted()

    async def answer(ask: Ask, parameters: Parameters) -> Reply:
        if len(provider.asked) == 1:
            await asyncio.sleep(0.02)
            assert len(provider.asked) == 1
        return await echo(ask, parameters)

    provider.answer = answer
    Hosted(provider, engine).ask(ASKS)
    assert provider.most > 1


def test_a_wrong_key_costs_one_call(engine: Engine) -> None:
    async def answer(ask: Ask, parameters: Parameters) -> Reply:
        await asyncio.sleep(0.001)
        raise UsageError("the key is not valid; set another")

    provider = Scripted(answer)
    model = Hosted(provider, engine)
    model.expect(ASKS)
    for _ in range(2):
        with pytest.raises(UsageError, match="the key is not valid"):
            model.ask(ASKS)
    assert len(provider.asked) == 1


def test_who_waits_for_a_host_that_is_down_shares_the_error(engine: Engine) -> None:
    async def answer(ask: Ask, parameters: Parameters) -> Reply:
        raise Transient("host can't be reached")

    provider = Scripted(answer)
    model = Hosted(provider, engine)
    model.expect(ASKS)
    with pytest.raises(Unanswered, match="can't be reached"):
        model.ask(ASKS)
    assert len(provider.asked) == 6


def test_one_bad_first_question_is_not_the_others(engine: Engine) -> None:
    async def answer(ask: Ask, parameters: Parameters) -> Reply:
        if ask == ASKS[0]:
            raise ModelError("prompt is too long")
        return await echo(ask, parameters)

    model = Hosted(Scripted(answer), engine)
    model.expect(ASKS)
    assert len(model.ask(ASKS[1:])) == 99
    with pytest.raises(ModelError, match="too long"):
        model.ask(ASKS[:1])


def test_at_the_first_error_what_was_not_begun_is_dropped(engine: Engine) -> None:
    asks = [Ask(Prompt.of(f"long {n}")) for n in range(500)]
    begun, ended = list[Ask](), list[Ask]()

    async def answer(ask: Ask, parameters: Parameters) -> Reply:
        begun.append(ask)
        if ask == asks[5]:
            raise ModelError("prompt is too long")
        await asyncio.sleep(0.01)
        ended.append(ask)
        return Reply("yes")

    provider = Scripted(answer)
    with pytest.raises(ModelError, match="too long"):
        Hosted(provider, engine).ask(asks)
    assert provider.running == 0
    assert len(ended) == len(begun) - 1 < 200


def test_cancelling_drops_what_is_expected(engine: Engine, path: Path) -> None:
    async def never(ask: Ask, parameters: Parameters) -> Reply:
        await asyncio.sleep(600)
        return Reply("")

    with Memory(path, "auto") as memory:
        provider = Scripted(never)
        model = Hosted(provider, engine, memory)
        model.expect(ASKS)
        while not provider.running:
            time.sleep(0.001)
        engine.cancel()
        assert provider.running == 0
        provider.answer = echo
        assert len(model.ask(ASKS)) == 100
        assert len(provider.asked) == 101
