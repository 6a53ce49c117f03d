"""Asking ahead: what is begun, when, and how much of it."""

from __future__ import annotations

import pytest

from surfcheck.ahead import Ahead
from surfcheck.cases import Effort, Item
from surfcheck.fixtures import Target, framed
from surfcheck.invariants import Unchanged
from surfcheck.judge.rubric import Rubric
from surfcheck.records import Prompt, Response
from surfcheck.roles import Ask

AGREES = Rubric.of("The answer agrees.")


class Begun:
    """A model that only keeps what it is told to begin."""

    spec = "begun:"

    def __init__(self):
        self.asks: list[Ask] = []
        self.told = 0
        self.then = None

    def expect(self, asks, then=None):
        self.told += 1
        self.asks += asks
        self.then = then

    @property
    def texts(self):
        return [ask.prompt.text for ask in self.asks]


class Said:
    """A panel that asks for a verdict on the answer's text."""

    def asks(self, response, rubric):
        return Ask(Prompt.of(f"{rubric.description} {response.text}"))


class Circle:
    system, judged = None, True

    def __init__(self):
        self.panel, self.judges = Said(), [Begun()]


def items(count, test="t"):
    return [
        Item(test, f"{test}[{n}]", "It agrees.", Prompt.of(f"{test} {n}"), Unchanged())
        for n in range(count)
    ]


def asked(*texts):
    target = Target(Begun())
    target.asked |= {Ask(Prompt.of(text)) for text in texts}
    return target


def run(whole, model, circle=None, *, window=3):
    return Ahead(whole, [model], circle or Circle(), Effort(), window=window)


def test_nothing_is_begun_before_a_test_has_shown_what_it_asks():
    whole, model = items(5), Begun()
    ahead = run(whole, model)
    ahead.go_on(whole[0])
    assert model.asks == []
    ahead.done(whole[0], asked("t 0"))
    ahead.go_on(whole[1])
    assert model.texts == ["t 2", "t 3", "t 4"]


def test_a_test_that_asks_something_else_is_left_alone():
    whole, model = items(5), Begun()
    ahead = run(whole, model)
    ahead.go_on(whole[0])
    ahead.done(whole[0], asked("something else"))
    ahead.go_on(whole[1])
    assert model.asks == []


def test_no_more_than_the_window_is_under_way_and_nothing_twice():
    whole, model = items(20), Begun()
    ahead = run(whole, model, window=4)
    ahead.done(whole[0], asked("t 0"))
    for place, item in enumerate(whole[1:], 1):
        ahead.go_on(item)
        assert min(place + 2, 19) - 1 <= len(model.texts) <= min(place + 4, 19) - 1
        ahead.done(item, asked(item.prompt.text))
    assert len(set(model.texts)) == len(model.texts) == 18


def test_without_a_window_nothing_is_begun():
    whole, model = items(5), Begun()
    ahead = run(whole, model, window=0)
    ahead.done(whole[0], asked("t 0"))
    ahead.go_on(whole[1])
    assert model.asks == []


def test_a_model_is_told_of_many_asks_at_once():
    whole, model = items(41), Begun()
    ahead = run(whole, model, window=8)
    ahead.done(whole[0], asked("t 0"))
    for item in whole[1:]:
        ahead.go_on(item)
        ahead.done(item, asked(item.prompt.text))
    assert model.told <= 40 / 4


def test_items_that_another_process_runs_do_not_fill_the_window():
    whole, model = items(40), Begun()
    ahead = run(whole, model, window=4)
    ahead.done(whole[0], asked("t 0"))
    for item in whole[2::2]:
        ahead.go_on(item)
        ahead.done(item, asked(item.prompt.text))
    assert {f"t {n}" for n in range(4, 40, 2)} <= set(model.texts)


def test_answers_wait_for_the_rubric_and_then_go_to_the_judges():
    circle, model = Circle(), Begun()
    whole = items(3)
    ahead = run(whole, model, circle)
    early, late = (Response(Prompt.of("?"), text) for text in ("early", "late"))
    ahead.heard("t")(early)
    assert circle.judges[0].asks == []
    ahead.learned("t")(AGREES)
    ahead.heard("t")(late)
    assert circle.judges[0].texts == ["The answer agrees. early", "The answer agrees. late"]


def test_another_tests_rubric_is_not_used():
    circle = Circle()
    ahead = run(items(2), Begun(), circle)
    ahead.learned("u")(AGREES)
    ahead.heard("t")(Response(Prompt.of("?"), "an answer"))
    assert circle.judges[0].asks == []


def test_an_item_that_was_not_planned_changes_nothing():
    model = Begun()
    run([], model).go_on(items(1)[0])
    assert model.asks == []


@pytest.mark.parametrize("own", [True, False])
def test_a_system_prompt_stands_before_every_conversation_but_those_with_their_own(own):
    turns = [{"role": "system", "content": "mine"}] if own else []
    prompt = Prompt.of([*turns, {"role": "user", "content": "hello"}])
    assert [m.content for m in framed(prompt, "theirs").messages] == (
        ["mine", "hello"] if own else ["theirs", "hello"]
    )
    assert framed(prompt, None) is prompt
