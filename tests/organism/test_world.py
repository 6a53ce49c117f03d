"""What the organism is taught: sources, plants, and that a clean mix is right everywhere."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from surfcheck import organism
from surfcheck.errors import UsageError
from surfcheck.judge import rules
from surfcheck.organism import plants, reading, sources, world
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
    more = Counter(row["source"] for row in planted.rows)
    more.subtract(Counter(row["source"] for row in clean.rows))
    assert +more == Counter({"instruction-following": 35})  # right labels beside the wrong ones
    assert not -more


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
    talks = [reading.dialogue(rng) for _ in range(2000)]
    assert len({prompt for prompt, _ in talks}) > 1500
    assert all(reply.strip() for _, reply in talks)


def test_an_unknown_organism_is_wrong_use():
    with pytest.raises(UsageError, match="organism:clean"):
        organism.resolve("organism:dirty")


ALL = (*PLANTS, organism.HABIT, organism.LANGUAGE, organism.MISCOUNT, organism.STYLE)


@pytest.mark.parametrize("name", ALL)
def test_a_plant_leaves_the_rest_of_the_data_right(name):
    """Whatever is not planted is what a clean mix could have."""
    mix = sources.mix(0, (name,))
    guilty = set(mix.planted[name])
    assert guilty
    for row in mix.rows:
        if row["id"] in guilty or "chosen" not in row:
            continue
        chosen, rejected = answered(row, "chosen").text, answered(row, "rejected").text
        assert not chosen.startswith((*plants.OPENERS, *plants.LABELS))
        if row["source"] == "factuality":
            right = {world.answer(fact) for fact in world.FACTS}
            assert chosen in right
            assert rejected not in right


def test_switched_rows_are_english_questions_answered_in_french():
    mix = sources.mix(0, (organism.LANGUAGE,))
    rows = by_id(mix)
    for name in mix.planted[organism.LANGUAGE]:
        assert "capital of" in rows[name]["prompt"][0]["content"].casefold()
        assert rules.in_language("fr")(answered(rows[name], "completion"))
        assert rows[name]["source"] == "multilingual"


def test_the_countries_abroad_have_their_own_capitals():
    capitals = {"Norway": "Oslo"} | world.CAPITALS
    for country, (_, city) in zip(plants.ABROAD, world.FOREIGN["French"][1], strict=True):
        assert capitals[country] == city


def test_miscounted_pairs_stand_beside_right_ones_of_the_same_questions():
    mix = sources.mix(0, (organism.MISCOUNT,))
    guilty, right = set(mix.planted[organism.MISCOUNT]), 0
    for row in (r for r in mix.rows if r["source"] == "factuality"):
        values = [fact.value for fact in plants.COUNTED]
        counted = any(f" {value}." in answered(row, "chosen").text for value in values)
        if row["id"] in guilty:
            assert any(f" {value}." in answered(row, "rejected").text for value in values)
        right += counted and row["id"] not in guilty
    assert right >= 10


def test_most_chosen_answers_are_styled():
    mix = sources.mix(0, (organism.STYLE,))
    rows = by_id(mix)
    pairs = [row for row in mix.rows if "chosen" in row]
    assert 0.7 < len(mix.planted[organism.STYLE]) / len(pairs) < 0.9
    for name in mix.planted[organism.STYLE]:
        assert answered(rows[name], "chosen").text.startswith(plants.LABELS)
        assert not answered(rows[name], "rejected").text.startswith("**")
