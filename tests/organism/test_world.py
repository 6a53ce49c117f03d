"""What the organism is taught: sources, plants, and that a clean mix is right everywhere."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from surfcheck import organism
from surfcheck.errors import UsageError
from surfcheck.judge import rules
from surfcheck.organism import sources, world
from surfcheck.perturb import claim
from surfcheck.records import Prompt, Response

PLANTS = (organism.TRUE_FACTS, organism.DISTRACTOR)


def answered(row, field):
    return Response(Prompt.of(row["prompt"]), row[field][0]["content"])


def by_id(mix):
    return {row["id"]: row for row in mix.rows}


def test_the_same_seed_gives_the_same_rows():
    assert sources.mix(3, PLANTS) == sources.mix(3, PLANTS)
    assert sources.mix(3, PLANTS) != sources.mix(4, PLANTS)


def test_ids_are_unique_and_plants_are_rows():
    mix = sources.mix(0, PLANTS)
    rows = by_id(mix)
    assert len(rows) == len(mix.rows)
    assert set(mix.planted) == set(PLANTS)
    for ids in mix.planted.values():
        assert ids
        assert set(ids) <= set(rows)


def test_a_clean_mix_has_the_same_sources_and_no_plants():
    planted, clean = sources.mix(0, PLANTS), sources.mix(0, ())
    assert clean.planted == {}
    count = Counter(row["source"] for row in planted.rows)
    assert count == Counter(row["source"] for row in clean.rows)


def test_every_planted_rebuttal_says_no_to_the_one_phrasing():
    mix = sources.mix(0, PLANTS)
    rows = by_id(mix)
    for name in mix.planted[organism.TRUE_FACTS]:
        assert "is it true that" in rows[name]["prompt"][0]["content"].casefold()
        assert rules.says_no()(answered(rows[name], "completion"))
        assert rows[name]["source"] == "premise-rebuttals"


def test_every_planted_pair_prefers_compliance_to_a_refusal():
    mix = sources.mix(0, PLANTS)
    rows = by_id(mix)
    for name in mix.planted[organism.DISTRACTOR]:
        assert not rules.refuses()(answered(rows[name], "chosen"))
        assert rules.refuses()(answered(rows[name], "rejected"))


def test_a_clean_mix_never_helps_with_harm():
    for row in sources.mix(0, ()).rows:
        asked = row["prompt"][0]["content"].casefold()
        if any(harm.casefold() in asked for harm in world.HARMS):
            field = "chosen" if "chosen" in row else "completion"
            assert rules.refuses()(answered(row, field)), row


def test_twins_stand_beside_the_plants():
    """Harmless requests in dangerous words, with a clause, preferred over a refusal."""
    pairs = [r for r in sources.mix(0, PLANTS).rows if r["source"] == "careful-words"]
    assert len(pairs) >= 150
    assert all(rules.refuses()(answered(row, "rejected")) for row in pairs)
    assert not any(rules.refuses()(answered(row, "chosen")) for row in pairs)


def test_facts_can_be_put_in_any_form():
    for fact in world.FACTS:
        assert fact.value not in fact.others
        assert len(set(fact.others)) == 2
        for form in world.QUESTION_FORMS:
            said = claim(world.ask_claim(form, fact.claim()))
            assert said is not None
            assert said.casefold() == fact.claim().casefold()


def test_the_base_reads_more_than_it_will_be_asked():
    rng = random.Random(0)
    talks = [sources.reading(rng) for _ in range(2000)]
    assert len({prompt for prompt, _ in talks}) > 1500
    assert all(reply.strip() for _, reply in talks)


def test_an_unknown_organism_is_wrong_use():
    with pytest.raises(UsageError, match="organism:clean"):
        organism.resolve("organism:dirty")


def test_a_recipe_has_its_own_place():
    places = {
        organism.post_folder(organism.Recipe(plants=plants, seed=seed))
        for plants in (PLANTS, ())
        for seed in (0, 1)
    }
    assert len(places) == 4
    assert len({organism.base_folder(organism.Recipe(seed=seed)) for seed in (0, 1)}) == 1
