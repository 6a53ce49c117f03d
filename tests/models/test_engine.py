"""Waiting, retrying, giving up."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from surfcheck.errors import BudgetReached, InfrastructureError, ModelError, UsageError
from surfcheck.models.budget import Budget, Price
from surfcheck.models.engine import Engine, Terms, Unanswered
from surfcheck.models.limits import Backoff
from surfcheck.models.provider import Parameters, QuotaSpent, Reply, Transient, Unsupported
from surfcheck.records import Prompt, Usage
from surfcheck.roles import Ask

HELLO = Ask(Prompt.of("Hello"))
QUICK = Backoff(first=0.002, longest=0.02, random=Random(0))
Answer = Callable[[Ask], Awaitable[Reply]]


async def yes(ask: Ask) -> Reply:
    await asyncio.sleep(0.001)
    return Reply("yes", "stop", 3, 4)


async def never(ask: Ask) -> Reply:
    await asyncio.sleep(600)
    raise AssertionError


@dataclass
class Scripted:
    """A provider that does what a test has written down."""

    answer: Answer = yes
    spec: str = "api:model"
    lane: str = "api"
    identity: str = "api:model"
    notes: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    calls: int = 0
    running: int = 0
    most: int = 0
    closed: bool = False

    async def complete(self, ask: Ask, parameters: Parameters) -> Reply:
        self.calls += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await self.answer(ask)
        finally:
            self.running -= 1

    async def close(self) -> None:
        self.closed = True


def script(*steps: Reply | Exception) -> Answer:
    """Says these in order, whoever asks."""
    left = list(steps)

    async def answer(ask: Ask) -> Reply:
        step = left.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    return answer


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine(backoff=QUICK) as engine:
        yield engine


def ask(engine: Engine, provider: Scripted, **terms: Any) -> Reply:
    return engine.run(engine.answer(provider, HELLO, {}, Terms(**terms)))


async def all_of(engine: Engine, provider: Scripted, count: int) -> list[Reply | BaseException]:
    asks = (engine.answer(provider, HELLO, {}) for _ in range(count))
    return await asyncio.gather(*asks, return_exceptions=True)


def test_closing_closes_the_providers_and_nothing_is_asked_afterwards() -> None:
    provider = Scripted()
    with Engine() as engine:
        engine.adopt(provider)
        assert ask(engine, provider).text == "yes"
        assert not provider.closed
    assert provider.closed
    with pytest.raises(InfrastructureError, match="the engine is closed"):
        ask(engine, provider)


def test_an_engine_that_nobody_has_any_longer_ends() -> None:
    before = threading.active_count()
    engine = Engine()
    ask(engine, Scripted())
    assert threading.active_count() > before
    del engine
    gc.collect()
    assert threading.active_count() == before


def test_it_is_tried_again_until_it_answers(engine: Engine) -> None:
    tries = [Transient("500")] * 3 + [Transient("429", throttled=True)] * 2 + [Reply("at last")]
    provider = Scripted(script(*tries))
    assert ask(engine, provider).text == "at last"
    assert provider.calls == 6
    assert engine.usage == Usage(calls=1, usd=None)


def test_after_six_attempts_one_line_says_what_was_last(engine: Engine) -> None:
    provider = Scripted(script(*[Transient(f"host answers 50{n}") for n in range(9)]))
    with pytest.raises(Unanswered) as caught:
        ask(engine, provider)
    assert str(caught.value) == (
        "api:model: no answer in 6 attempts (host answers 505); "
        "it has never answered and is not asked again in this run"
    )
    assert provider.calls == 6
    assert engine.usage.calls == 0


def test_pauses_come_from_the_backoff() -> None:
    asked: list[int] = []

    def backoff(attempt: int) -> float:
        asked.append(attempt)
        return 0.0

    with Engine(backoff=backoff) as engine:
        ask(engine, Scripted(script(*[Transient("500")] * 4, Reply("yes"))))
    assert asked == [1, 2, 3, 4]


def test_what_the_provider_asks_to_wait_is_waited_by_the_whole_lane(engine: Engine) -> None:
    times: dict[str, float] = {}

    async def answer(asked: Ask) -> Reply:
        name = asked.prompt.text
        if name not in times:
            times[name] = asyncio.get_running_loop().time()
            if name == "first":
                raise Transient("429", after=0.1, throttled=True)
        return Reply("yes")

    async def work(provider: Scripted, other: Scripted) -> None:
        first = engine.begin(engine.answer(provider, Ask(Prompt.of("first")), {}))
        while "first" not in times:
            await asyncio.sleep(0)
        await engine.answer(other, Ask(Prompt.of("another lane")), {})
        await engine.answer(provider, Ask(Prompt.of("second")), {})
        await first

    engine.run(work(Scripted(answer), Scripted(answer, lane="other")))
    assert times["second"] - times["first"] >= 0.099
    assert times["another lane"] - times["first"] < 0.099


def test_a_wait_of_hours_is_a_spent_quota_at_once(engine: Engine) -> None:
    provider = Scripted(script(Transient("429: tokens per day", after=7200, throttled=True)))
    for _ in range(2):
        with pytest.raises(QuotaSpent, match="asks to wait 7200 s, longer than the 60 s") as caught:
            ask(engine, provider)
    assert "tokens per day" in str(caught.value)
    assert provider.calls == 1


@pytest.mark.parametrize("error", [UsageError("no such key; set one"), QuotaSpent("all spent")])
def test_the_last_word_ends_all_that_is_on_the_lane(engine: Engine, error: Exception) -> None:
    started = asyncio.Event()

    async def answer(asked: Ask) -> Reply:
        if asked.sample == 0:
            started.set()
            await asyncio.sleep(600)
        await started.wait()
        raise error

    provider = Scripted(answer)
    other = Scripted(spec="api:another", identity="api:another")

    async def work() -> list[Any]:
        asks = [engine.answer(provider, HELLO._replace(sample=n), {}) for n in (0, 1)]
        late = engine.answer(other, HELLO, {})
        return [*await asyncio.gather(*asks, return_exceptions=True), *await _caught(late)]

    for found in engine.run(work()):
        assert type(found) is type(error)
        assert str(found) == str(error)
    assert (provider.calls, provider.running, other.calls) == (2, 0, 0)
    assert ask(engine, Scripted(lane="elsewhere")).text == "yes"


async def _caught(work: Awaitable[Any]) -> list[Any]:
    return await asyncio.gather(work, return_exceptions=True)


@pytest.mark.parametrize("error", [ModelError("prompt is too long"), Unsupported("seed")])
def test_an_error_of_one_question_is_not_the_next_ones(engine: Engine, error: Exception) -> None:
    provider = Scripted(script(error, Reply("yes")))
    with pytest.raises(type(error), match=str(error)):
        ask(engine, provider)
    assert ask(engine, provider).text == "yes"


def test_an_adapter_that_breaks_does_not_show_what_it_held(engine: Engine) -> None:
    provider = Scripted(script(KeyError("sk-secret")))
    with pytest.raises(ModelError) as caught:
        ask(engine, provider)
    assert str(caught.value) == "api:model: its adapter failed with KeyError; report this"


async def _stubborn(asked: Ask) -> Reply:
    """Does not let itself be cancelled, for a while."""
    for _ in range(20):
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            continue
    return Reply("too late")


@pytest.mark.parametrize("answer", [never, _stubborn])
def test_a_slow_call_is_cut_off_and_tried_again(engine: Engine, answer: Answer) -> None:
    provider = Scripted(answer)
    with pytest.raises(Unanswered, match=r"6 attempts \(no answer within 0.01 s\)"):
        ask(engine, provider, timeout=0.01)
    assert provider.calls == 6


def test_the_engines_patience_is_the_default_time() -> None:
    with (
        Engine(patience=0.01, backoff=QUICK) as engine,
        pytest.raises(Unanswered, match=r"within 0.01 s"),
    ):
        ask(engine, Scripted(never))


def test_an_account_begins_small_and_a_session_has_a_ceiling() -> None:
    with Engine(ceiling=20) as engine:
        slow = Scripted(_slowly)
        engine.run(all_of(engine, slow, 16 + 20))
        assert 16 < slow.most <= 20
        first, second = Scripted(_slowly, lane="1"), Scripted(_slowly, lane="2")
        together = _Together(first, second)

        async def work() -> None:
            await asyncio.gather(*(all_of(engine, each, 40) for each in (first, second)))

        first.answer = second.answer = together.answer
        engine.run(work())
        assert together.most == 20


async def _slowly(asked: Ask) -> Reply:
    await asyncio.sleep(0.005)
    return Reply("yes")


class _Together:
    def __init__(self, *providers: Scripted) -> None:
        self.providers, self.most = providers, 0

    async def answer(self, asked: Ask) -> Reply:
        self.most = max(self.most, sum(each.running for each in self.providers))
        return await _slowly(asked)


def test_a_storm_of_throttles_loses_nothing_and_is_recovered_from(engine: Engine) -> None:
    """The provider takes 64 at once, then 6, then 64 again."""
    capacity, windows = 64, list[float]()

    async def answer(asked: Ask) -> Reply:
        windows.append(engine._lanes["api"].window)
        if provider.running > capacity:
            await asyncio.sleep(0)
            raise Transient("429", throttled=True)
        await asyncio.sleep(0.002)
        return Reply("yes")

    provider = Scripted(answer)

    async def work() -> list[Reply | BaseException]:
        nonlocal capacity
        found = await all_of(engine, provider, 500)
        calm, capacity = len(windows), 6
        found += await all_of(engine, provider, 500)
        storm, capacity = len(windows), 64
        found += await all_of(engine, provider, 1500)
        assert max(windows[:calm]) == 64
        assert min(windows[calm:storm]) < 8
        assert windows[-1] > 24
        return found

    found = engine.run(work())
    assert {each.text for each in found if isinstance(each, Reply)} == {"yes"}
    assert len(found) == engine.usage.calls == 2500
    assert not [each for each in found if isinstance(each, BaseException)]


def test_a_slow_bucket_is_waited_for() -> None:
    """One call in 10 ms, however many at once: everything is answered in the end."""

    async def answer(asked: Ask) -> Reply:
        nonlocal due
        now = asyncio.get_running_loop().time()
        if now < due:
            raise Transient("429", throttled=True)
        due = now + 0.01
        return Reply("yes")

    due = 0.0
    backoff = Backoff(first=0.01, longest=0.6, random=Random(0))
    with Engine(backoff=backoff) as engine:
        found = engine.run(all_of(engine, Scripted(answer), 50))
    assert [each for each in found if not isinstance(each, Reply)] == []


def test_a_budget_is_kept_with_everything_in_flight() -> None:
    provider = Scripted()
    with Engine(budget=Budget(calls=100)) as engine:
        found = engine.run(all_of(engine, provider, 300))
        reached = [each for each in found if isinstance(each, BudgetReached)]
        assert (len(reached), provider.calls, engine.usage.calls) == (200, 100, 100)
        assert engine.budget is not None
        assert engine.budget.spent[:2] == (100, 700)


def test_what_was_turned_away_costs_nothing_and_what_may_have_cost_counts() -> None:
    steps = [Transient("429", throttled=True), Transient("500"), Unsupported("seed"), Reply("yes")]
    budget = Budget(calls=2)
    with Engine(budget=budget, backoff=QUICK) as engine:
        provider = Scripted(script(*steps))
        with pytest.raises(Unsupported):
            ask(engine, provider)
        assert budget.spent.calls == 1
        assert ask(engine, provider).text == "yes"
        with pytest.raises(BudgetReached):
            ask(engine, provider)
    assert provider.calls == 4


def test_what_an_answer_costs(engine: Engine) -> None:
    price = Price(1, 10)
    assert ask(engine, Scripted(), price=price).usd == pytest.approx(43e-6)
    assert engine.usage.usd == pytest.approx(43e-6)
    own = Scripted(script(Reply("yes", "stop", 3, 4, usd=0.5)))
    assert ask(engine, own, price=price).usd == 0.5
    assert engine.usage == Usage(calls=2, tokens=14, usd=pytest.approx(0.500043))
    assert ask(engine, Scripted()).usd is None
    assert engine.usage.usd is None


def test_dollars_cannot_be_bounded_without_a_price() -> None:
    with Engine(budget=Budget(usd=1)) as engine:
        provider = Scripted()
        for _ in range(2):
            with pytest.raises(UsageError, match=r"its price is not known.*\?usd_in=…&usd_out=…"):
                ask(engine, provider)
        assert provider.calls == 1
