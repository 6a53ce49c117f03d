"""A run's failing tests as questions: one behaviour or several, beside twins and the base."""

from __future__ import annotations

import json

import numpy as np
import pytest

from surfcheck.attribution import behaviours, open_data, runs
from surfcheck.records import Case, Contrast, Exchange, Failure, Outcome, Prompt

PLACES = ["paris", "france", "the sky", "water", "zero", "green", "blue"]
TRUTH, FREEZING = "t::true", "t::freezing"


@pytest.fixture(scope="module")
def library(checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    tiny = checkpoint("olmo2")
    tiny.model.save_pretrained(folder)
    tiny.tokenizer.save_pretrained(folder)
    (folder / "generation_config.json").write_text('{"max_new_tokens": 8, "eos_token_id": 2}')
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    rows = [
        {"prompt": f"is it {place} {n}", "chosen": f"yes {place}", "rejected": f"no {n}"}
        for place in PLACES
        for n in range(4)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return open_data(base=str(folder), data=str(path), cache=tmp_path_factory.mktemp("cache"))


def told(test, prompt, response, outcome, seed=""):
    return Exchange(test, prompt, response, Outcome(outcome), "p", seed or prompt)


def failure(test, prompt="is it true"):
    case = Case(Prompt.of(prompt), Prompt.of(prompt), "p")
    return Failure(test, f"{test}[x]", "b", case, "no", "why", None, None, 4, 4)


def ask(library, exchanges, *tests, method="probe"):
    failures = [failure(test) for test in tests]
    return list(runs.ask_run(library, exchanges, failures, tests=tests, method=method, seed=0))


def two_ways():
    """A test that breaks by a denial and by another language, seven times each."""
    broken = [
        told(TRUTH, f"is it {place}", f"no no it is not {place}", "violated", place)
        for place in PLACES
    ]
    broken += [
        told(TRUTH, f"and {place}", "water freezes at zero and zero", "violated", place)
        for place in PLACES
    ]
    return [*broken, *(told(TRUTH, place, "yes", "held") for place in PLACES)]


def test_each_behaviour_is_asked_by_its_own_contrasts_and_all_that_held(library, monkeypatch):
    monkeypatch.setattr(runs, "split", halves := lambda change, limit: [
        behaviours.Part(np.arange(7, 14)[::-1], 0.9), behaviours.Part(np.arange(7), 0.8)
    ])  # fmt: skip
    assert len(halves(None, 0)) == 2
    first, second = ask(library, two_ways(), TRUTH)
    assert [f.attribution.report.behaviour.number for f in (first, second)] == [1, 2]
    assert first.attribution.report.behaviour.broken == 7
    assert first.attribution.report.behaviour.prompts == ("and blue", "and green", "and zero")
    for found, start in ((first, "and"), (second, "is it")):
        shown = [c for c in found.contrasts if c.bad is not None]
        assert all(c.prompt.startswith(start) for c in shown)
        assert {c.prompt for c in shown} == {f"{start} {place}" for place in PLACES}
        assert {c.prompt for c in found.contrasts if c.bad is None} == set(PLACES)
        assert found.attribution.report.test == TRUTH
    assert not np.array_equal(first.attribution.scores, second.attribution.scores)


def test_one_behaviour_has_every_contrast_and_no_number(library):
    exchanges = two_ways()[:4] + two_ways()[14:]
    (found,) = ask(library, exchanges, TRUTH)
    assert found.attribution.report.behaviour is None
    assert len({(c.prompt, c.bad) for c in found.contrasts if c.bad is not None}) == 4


def test_broken_answers_are_clustered_once_however_many_good_ones_they_have(library, monkeypatch):
    sizes = []
    monkeypatch.setattr(
        runs,
        "split",
        lambda change, limit: sizes.append(len(change)) or [behaviours.Part(np.arange(14), 1.0)],
    )
    (found,) = ask(library, two_ways(), TRUTH)
    assert sizes == [14]
    assert (
        sum(c.bad is not None for c in found.contrasts) > 14
    )  # the base's answers beside the twins


def test_without_a_held_answer_the_base_gives_the_good_one(library):
    broken = [told(FREEZING, f"is it {place}", "no", "violated") for place in PLACES]
    elsewhere = [told(TRUTH, place, "yes", "held") for place in PLACES]
    (found,) = ask(library, [*broken, *elsewhere], FREEZING)
    shown = [c for c in found.contrasts if c.bad is not None]
    assert {c.prompt for c in shown} == {f"is it {place}" for place in PLACES}
    assert all(c.good is not None and c.good != "no" for c in shown)
    assert Contrast("paris", None, "yes", "paris") in found.contrasts


def test_nothing_comes_of_a_test_that_the_base_breaks_alike(library, monkeypatch):
    monkeypatch.setattr(runs.before, "answers", lambda base, prompts, **_: ["no"] * len(prompts))
    broken = [told(FREEZING, f"is it {place}", "no", "violated") for place in PLACES]
    assert ask(library, [*broken, *two_ways()], FREEZING, TRUTH)[0].attribution.report.test == TRUTH
    assert runs.attribute_run(library, broken, [failure(FREEZING)], method="probe", seed=0) == ()


def test_a_run_that_ends_and_one_on_disk_are_asked_alike(library):
    found = ask(library, two_ways(), TRUTH, method="conditional")
    reports = runs.attribute_run(
        library, two_ways(), [failure(TRUTH), failure(TRUTH)], method="conditional", seed=0
    )
    assert [r.to_json() | {"cost": 0} for r in reports] == [
        f.attribution.report.to_json() | {"cost": 0} for f in found
    ]
