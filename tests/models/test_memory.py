"""Every answer once, whoever asks."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from surfcheck.errors import ModelError, UsageError
from surfcheck.models.memory import Memory, Remembered, Remembering
from surfcheck.records import Prompt, Response
from surfcheck.roles import Ask
from surfcheck.settings import MemoryMode

ASKS = [Ask(Prompt.of(f"question {n}"), sample) for n in range(5) for sample in range(2)]


@dataclass
class Counter:
    """A model that never gives the same answer twice and counts what it is asked."""

    identity: str = "counter"
    spec: str = "python:counter:secret-address"
    notes: tuple[str, ...] = ("counts",)
    asked: list[Ask] = field(default_factory=list)

    def ask(self, asks: Sequence[Ask]) -> list[Response]:
        answers = []
        for ask in asks:
            self.asked.append(ask)
            text = f"answer {len(self.asked)} é\u2028\x00"
            answers.append(Response(ask.prompt, text, self.spec, ask.sample, "stop", 7, 8))
        return answers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".surfcheck" / "memory.sqlite"


@pytest.fixture
def remembering(path: Path) -> Callable[..., Remembering]:
    def make(model: Counter, mode: MemoryMode = "auto") -> Remembering:
        return Remembering(model, Memory(path, mode))

    return make


def test_what_was_answered_is_not_asked_again(remembering: Callable[..., Remembering]) -> None:
    model = Counter()
    first = remembering(model).ask(ASKS)
    assert not any(answer.remembered for answer in first)
    again = remembering(model).ask(ASKS[::-1])
    assert again == [replace(answer, remembered=True) for answer in first[::-1]]
    assert len(model.asked) == len(ASKS)


def test_only_what_is_new_is_asked_and_twice_the_same_once(
    remembering: Callable[..., Remembering],
) -> None:
    model = Counter()
    known = remembering(model)
    known.ask(ASKS[:3])
    answers = known.ask([ASKS[0], ASKS[9], ASKS[1], ASKS[9]])
    assert [answer.remembered for answer in answers] == [True, False, True, False]
    assert answers[1] == answers[3]
    assert model.asked == [*ASKS[:3], ASKS[9]]


@pytest.mark.parametrize(
    "other",
    [
        Ask(Prompt.of("question 0 "), 0),
        Ask(Prompt.of([{"role": "system", "content": "question 0"}]), 0),
        Ask(Prompt.of("question 0"), 2),
    ],
)
def test_another_question_is_another_key(
    other: Ask, remembering: Callable[..., Remembering]
) -> None:
    model = Counter()
    known = remembering(model)
    known.ask([ASKS[0]])
    assert not known.ask([other])[0].remembered


def test_another_model_is_another_key_and_another_name_is_not(
    remembering: Callable[..., Remembering],
) -> None:
    remembering(Counter()).ask(ASKS)
    assert not remembering(Counter(identity="other")).ask(ASKS[:1])[0].remembered
    (renamed,) = remembering(Counter(spec="organism:")).ask(ASKS[:1])
    assert (renamed.remembered, renamed.model) == (True, "organism:")


def test_record_asks_again_and_keeps_the_last(remembering: Callable[..., Remembering]) -> None:
    model = Counter()
    remembering(model).ask(ASKS)
    recorded = remembering(model, "record").ask(ASKS)
    assert len(model.asked) == 2 * len(ASKS)
    assert not any(answer.remembered for answer in recorded)
    assert [r.text for r in remembering(model).ask(ASKS)] == [r.text for r in recorded]


def test_replay_never_asks(remembering: Callable[..., Remembering], path: Path) -> None:
    model = Counter()
    remembering(model).ask(ASKS[:4])
    known = remembering(model, "replay")
    assert all(answer.remembered for answer in known.ask(ASKS[:4]))
    with pytest.raises(ModelError, match=rf"{path} has no answer .* to 'question 2' \(6 in all\)"):
        known.ask(ASKS)
    assert len(model.asked) == 4


def test_replay_without_a_file_makes_none(
    remembering: Callable[..., Remembering], path: Path
) -> None:
    with pytest.raises(UsageError, match="no answers to replay; run once with memory auto"):
        remembering(Counter(), "replay").ask(ASKS)
    assert not path.parent.exists()


def test_off_never_touches_the_file(remembering: Callable[..., Remembering], path: Path) -> None:
    model = Counter()
    known = remembering(model, "off")
    assert known.ask(ASKS) != known.ask(ASKS)
    assert not path.parent.exists()


def test_nothing_is_opened_before_the_first_question(
    remembering: Callable[..., Remembering], path: Path
) -> None:
    known = remembering(Counter())
    assert known.ask([]) == []
    assert (known.spec, known.identity, known.notes) == (
        "python:counter:secret-address",
        "counter",
        ("counts",),
    )
    assert not path.parent.exists()


def test_a_model_that_fails_leaves_nothing_behind(
    remembering: Callable[..., Remembering],
) -> None:
    class Failing(Counter):
        def ask(self, asks: Sequence[Ask]) -> list[Response]:
            raise ModelError("down")

    with pytest.raises(ModelError):
        remembering(Failing()).ask(ASKS)
    assert not any(r.remembered for r in remembering(Counter()).ask(ASKS))


def test_a_closed_memory_opens_again(path: Path) -> None:
    with Memory(path, "auto") as memory:
        Remembering(Counter(), memory).ask(ASKS)
    assert not path.with_name("memory.sqlite-wal").exists()
    assert all(answer.remembered for answer in Remembering(Counter(), memory).ask(ASKS))


def test_ten_thousand_answers_one_by_one(path: Path) -> None:
    prompt = '[{"role": "user", "content": "' + "why " * 50 + '"}]'
    kept = Remembered("text " * 200, "stop", 7, 8, parameters={"seed": 1}, prompt=prompt)
    rng = random.Random(0)
    keys = [rng.randbytes(32) for _ in range(10_000)]
    with Memory(path, "auto") as memory:
        start = time.process_time()  # others may work on this machine
        for key in keys:
            memory.keep(key, kept)
        after_keeping = time.process_time()
        for key in keys:
            assert memory.recall(key) == kept
        after_recalling = time.process_time()
        assert memory.read(keys) == dict.fromkeys(keys, kept)
        end = time.process_time()
    assert after_keeping - start < 3
    assert after_recalling - after_keeping < 1
    assert end - after_recalling < 1


def test_expect_asks_nothing(remembering: Callable[..., Remembering], path: Path) -> None:
    model = Counter()
    remembering(model).expect(ASKS, lambda response: None)
    assert model.asked == []
    assert not path.parent.exists()


def test_question_and_answer_are_stored_and_the_rest_of_the_spec_is_not(path: Path) -> None:
    memory = Memory(path, "auto")
    model = Counter(spec="openai:gpt?base_url=https://me:secret-key@secret-address/v1")
    model.identity = "openai secret-address gpt"
    Remembering(model, memory).ask(ASKS)
    memory.drop(model.identity, "seed")
    memory.claim(b"open", lease=60)
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    memory.close()
    assert b"secret" not in content
    for stored in (b"answer 1 ", b"question 4", b"openai:gpt", b"seed"):
        assert stored in content
    kept = memory.read([memory_key(model, ASKS[3])])
    (remembered,) = kept.values()
    assert remembered.prompt == '[{"role": "user", "content": "question 1"}]'
    assert (remembered.model, remembered.sample) == ("openai:gpt", 1)
    memory.close()


def memory_key(model: Counter, ask: Ask) -> bytes:
    """As the first version of surfcheck made it: files of then are still of use."""
    named = [model.identity, ask.prompt.to_json(), ask.sample]
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).digest()
