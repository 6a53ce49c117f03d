"""What a run may spend."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from surfcheck.errors import BudgetReached
from surfcheck.models.budget import Budget, Price
from surfcheck.models.memory import Memory
from surfcheck.models.provider import Reply


def begun(budget: Budget, tries: int) -> int:
    """How many of so many tries the budget lets through."""
    through = 0
    for _ in range(tries):
        try:
            budget.begin()
        except BudgetReached:
            continue
        through += 1
    return through


def test_without_a_ceiling_nothing_is_limited() -> None:
    assert not Budget().limited
    assert Budget(calls=0).limited
    assert begun(Budget(), 100) == 100


@pytest.mark.parametrize("calls", [0, 1, 1000])
def test_a_ceiling_on_calls_is_never_passed(calls: int) -> None:
    budget = Budget(calls=calls)
    with ThreadPoolExecutor(8) as pool:
        through = sum(pool.map(lambda _: begun(budget, 200), range(8)))
    assert through == budget.spent.calls == calls


def test_what_was_turned_away_can_be_made_again() -> None:
    budget = Budget(calls=2)
    budget.begin()
    budget.begin()
    budget.give_back()
    budget.begin()
    with pytest.raises(BudgetReached) as caught:
        budget.begin()
    assert str(caught.value) == (
        "the run may spend 2 calls (--surf-max-calls) and 2 are made; allow more to ask the rest"
    )


def test_tokens_stop_the_next_call_and_are_reported_over_the_ceiling() -> None:
    budget = Budget(tokens=100)
    budget.begin()
    budget.begin()  # in flight together: what they cost is not known yet
    budget.end(90, None)
    budget.end(90, None)
    assert budget.spent.tokens == 180
    with pytest.raises(BudgetReached, match=r"100 tokens \(--surf-max-tokens\) and 180 are spent"):
        budget.begin()
    assert budget.spent.calls == 2


def test_a_prompt_that_would_pass_the_ceiling_is_not_asked() -> None:
    budget = Budget(tokens=100)
    budget.begin(100)
    budget.end(60, None)
    with pytest.raises(BudgetReached, match="60 are spent"):
        budget.begin(41)
    budget.begin(40)
    assert budget.spent.calls == 2


def test_dollars_stop_the_next_call() -> None:
    budget = Budget(usd=0.5)
    budget.begin()
    budget.end(10, 0.4999)
    budget.begin()
    budget.end(10, 0.25)
    with pytest.raises(BudgetReached, match=r"\$0.5 \(--surf-max-usd\) and \$0.7499 are spent"):
        budget.begin()


WORKER = """
import sys
from pathlib import Path
from surfcheck.errors import BudgetReached
from surfcheck.models.budget import Budget
from surfcheck.models.memory import Memory

through = 0
with Memory(Path(sys.argv[1]), "auto") as memory:
    budget = Budget(calls=150, memory=memory, run=sys.argv[2])
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(120):
        try:
            budget.begin()
        except BudgetReached:
            continue
        through += 1
        budget.end(2, 0.5)
print(through)
"""


def test_processes_of_one_run_share_their_ceilings(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite"
    workers = [
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", WORKER, str(path), "run"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    through = [int(worker.communicate("go\n")[0]) for worker in workers]
    assert sum(through) == 150
    with Memory(path, "auto") as memory:
        assert Budget(memory=memory, run="run").spent[:3] == (150, 300, 75.0)
        assert Budget(memory=memory, run="another run").spent.calls == 0


def test_a_run_without_memory_counts_in_its_own_process(tmp_path: Path) -> None:
    path = tmp_path / "memory.sqlite"
    with Memory(path, "off") as memory:
        assert begun(Budget(calls=3, memory=memory, run="run"), 10) == 3
    assert not path.exists()


@pytest.mark.parametrize(
    ("price", "reply", "usd"),
    [
        (Price(3, 15), Reply("", prompt_tokens=1000, completion_tokens=200), 0.006),
        (Price(3, 15), Reply("", prompt_tokens=1000), None),
        (Price(0, 0), Reply(""), 0.0),
    ],
)
def test_a_price_is_in_dollars_a_million_tokens(
    price: Price, reply: Reply, usd: float | None
) -> None:
    assert price.of(reply) == (None if usd is None else pytest.approx(usd))
