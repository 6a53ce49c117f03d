from __future__ import annotations

import random
import time

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from surfcheck import perturb
from surfcheck.errors import UsageError
from surfcheck.perturb.compose import Variation
from surfcheck.records import Case, Message, Prompt

PROMPT = "Is it true that water freezes at 0 °C?"
FAST = settings(max_examples=150, deadline=None, derandomize=True, database=None)
SEARCH = settings(max_examples=2000, deadline=None, derandomize=True, database=None)


def written(text: str) -> Case:
    prompt = Prompt.of(text)
    return Case(prompt, prompt, "unchanged")


def louder(name: str, mark: str) -> Variation:
    return perturb.perturbation(name, lambda text: [(text + mark, f"added {mark}")])


def reach(variation: Variation, text: str) -> set[str]:
    rng = random.Random(0)
    return {perturb.sample(variation, text, rng).prompt.text for _ in range(400)}


def test_a_function_becomes_a_perturbation() -> None:
    by_call = perturb.perturbation("shout", lambda text: [(text + "!", "shouted")])

    @perturb.perturbation("shout")
    def by_decorator(text: str) -> list[tuple[str, str]]:
        return [(text + "!", "shouted")]

    for shout in (by_call, by_decorator):
        case = perturb.sample(shout, "Hello", random.Random(0))
        assert case == Case(Prompt.of("Hello"), Prompt.of("Hello!"), "shout", ("shouted",))


def test_a_step_that_changes_nothing_is_no_step() -> None:
    idle = perturb.perturbation("idle", lambda text: [(text, "nothing"), (text + "!", "shouted")])
    assert reach(idle, "Hello") == {"Hello!"}
    nothing = perturb.perturbation("nothing", lambda text: [(text, "nothing")])
    case = written("Hello")
    assert perturb.sample(nothing, case, random.Random(0)) is case


@pytest.mark.parametrize("name", ["", "two words", "größe", "a|b", "a\nb", "a[b]"])
def test_a_name_that_cannot_stand_in_a_test_id_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="ASCII letters"):
        louder(name, "!")


def test_composing_nothing_is_wrong_use() -> None:
    with pytest.raises(UsageError, match=r"perturb.chain\(\) is empty"):
        perturb.chain()
    with pytest.raises(UsageError, match=r"perturb.either\(\) is empty"):
        perturb.either()


def test_chain_goes_in_order_and_any_link_may_rest() -> None:
    both = perturb.chain(louder("a", "!"), louder("b", "?"))
    assert reach(both, "Hi") == {"Hi", "Hi!", "Hi?", "Hi!?"}


def test_either_takes_one() -> None:
    one = perturb.either(louder("a", "!"), louder("b", "?"))
    assert reach(one, "Hi") == {"Hi!", "Hi?"}


def test_either_passes_on_from_one_that_has_nothing_to_change() -> None:
    nothing = perturb.perturbation("nothing", lambda text: [])
    assert reach(perturb.either(nothing, louder("a", "!"), nothing), "Hi") == {"Hi!"}


def test_names_of_compositions_tell_how_they_were_made() -> None:
    a, b, c = louder("a", "1"), louder("b", "2"), louder("c", "3")
    assert perturb.chain(a, b).name == "a+b"
    assert perturb.either(a, b).name == "a/b"
    assert perturb.either(a, perturb.chain(b, c)).name == "a/b+c"
    assert perturb.chain(perturb.either(a, b), c).name == "(a/b)+c"
    assert perturb.chain(a, b, name="mine").name == "mine"


def test_composition_is_associative() -> None:
    a, b, c = louder("a", "1"), louder("b", "2"), louder("c", "3")
    left = perturb.chain(perturb.chain(a, b), c)
    right = perturb.chain(a, perturb.chain(b, c))
    assert left.name == right.name == "a+b+c"
    assert reach(left, "x") == reach(right, "x") == reach(perturb.chain(a, b, c), "x")
    left, right = perturb.either(perturb.either(a, b), c), perturb.either(a, perturb.either(b, c))
    assert left.name == right.name
    assert reach(left, "x") == reach(right, "x")


def test_a_change_that_is_undone_leaves_no_steps() -> None:
    back = perturb.perturbation("back", lambda text: [(text.removesuffix("!"), "taken back")])
    assert reach(perturb.chain(louder("a", "!"), back), "Hi") == {"Hi", "Hi!"}
    shouted = perturb.sample(louder("a", "!"), "Hi", random.Random(0))
    again = perturb.sample(back, shouted, random.Random(0))
    assert again.unchanged
    assert again.steps == ()


def test_only_the_last_turn_changes_and_the_seed_is_kept() -> None:
    talk = Prompt((Message("system", "Be kind."), Message("user", "Hello there")))
    case = perturb.sample(perturb.distractors(), talk, random.Random(1))
    assert case.seed == talk
    assert case.prompt.messages[0] == talk.messages[0]
    assert case.prompt.text.startswith("Hello there")
    further = perturb.sample(perturb.spacing(), case, random.Random(1))
    assert further.seed == talk
    assert further.steps[:1] == case.steps
    assert len(further.steps) == 2


@FAST
@given(st.data(), st.text(max_size=60))
def test_what_is_drawn_agrees_with_its_steps(data: st.DataObject, text: str) -> None:
    variation = perturb.chain(perturb.surface(), perturb.framing(), perturb.distractors())
    case = written(text)
    drawn = data.draw(variation(case))
    assert drawn.seed == case.prompt
    assert drawn.unchanged == (drawn.steps == ())
    assert drawn == case or drawn.perturbation == variation.name
    assert len(drawn.steps) <= 4


def test_drawing_reaches_what_sampling_reaches() -> None:
    drawn: set[str] = set()

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(perturb.distractors()(written(PROMPT)))
    def draw(case: Case) -> None:
        drawn.add(case.prompt.text)

    draw()
    assert drawn == reach(perturb.distractors(), PROMPT) | {PROMPT}


@pytest.mark.parametrize(
    "variation",
    [
        perturb.chain(perturb.casing(), perturb.spacing(), perturb.distractors()),
        perturb.chain(perturb.framing(), perturb.typos(), perturb.distractors()),
        perturb.either(perturb.chain(perturb.politeness(), perturb.distractors()), perturb.look()),
    ],
    ids=lambda v: v.name,
)
def test_shrinking_ends_at_one_step(variation: Variation) -> None:
    smallest = find(
        variation(written(PROMPT)),
        lambda case: any(clause in case.prompt.text for clause in perturb.CLAUSES),
        settings=SEARCH,
        random=random.Random(0),
    )
    assert smallest.steps == ("appended: Answer in one sentence.",)
    assert smallest.prompt.text == PROMPT + " Answer in one sentence."


def test_shrinking_keeps_both_steps_where_both_are_needed() -> None:
    smallest = find(
        perturb.chain(perturb.casing(), perturb.typos(), perturb.distractors())(written(PROMPT)),
        lambda case: "JSON" in case.prompt.text and case.prompt.text.startswith("i"),
        settings=SEARCH,
        random=random.Random(0),
    )
    assert smallest.steps == ("first letter in lower case", "appended: Reply in JSON.")


def test_shrinking_ends_at_one_word() -> None:
    smallest = find(
        perturb.typos()(written(PROMPT)),
        lambda case: "that" not in case.prompt.text,
        settings=SEARCH,
        random=random.Random(0),
    )
    assert smallest.steps == ("typo: that -> thta",)


def test_ten_thousand_samples_take_less_than_two_seconds() -> None:
    rng, variation = random.Random(0), perturb.chain(perturb.surface(), perturb.framing())
    start = time.perf_counter()
    for _ in range(10_000):
        perturb.sample(variation, PROMPT, rng)
    assert time.perf_counter() - start < 2


def test_samples_are_the_same_for_the_same_seed() -> None:
    def run() -> list[Case]:
        rng = random.Random(7)
        return [perturb.sample(perturb.framing(), PROMPT, rng) for _ in range(50)]

    assert run() == run()
