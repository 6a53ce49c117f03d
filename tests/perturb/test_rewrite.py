"""Perturbations that a model wrote. No model is asked anywhere here."""

from __future__ import annotations

import random
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from surfcheck import perturb
from surfcheck.cases import draw
from surfcheck.errors import DataError, UsageError
from surfcheck.invariants import Unchanged
from surfcheck.perturb.compose import Variation
from surfcheck.perturb.frozen import Check, Rewrite, write
from surfcheck.records import Case, Message, Prompt

PROMPT = "Is it true that water freezes at 0 °C?"
SAME = Check("m:x", True, "The same.")
Freeze = Callable[..., None]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Where a suite would lie."""
    return tmp_path / "test_facts.py"


@pytest.fixture
def freeze(suite: Path) -> Freeze:
    """Writes the file beside the suite: texts of PROMPT by perturbation."""

    def freeze(**texts: list[str]) -> None:
        rows = [
            Rewrite(PROMPT, name.replace("_", "."), text, "m:x", "2026-11-20", SAME)
            for name, each in texts.items()
            for text in each
        ]
        write(suite.parent / "frozen" / "test_facts.jsonl", rows)

    return freeze


def reach(variation: Variation, text: str = PROMPT) -> set[str]:
    rng = random.Random(0)
    return {perturb.sample(variation, text, rng).prompt.text for _ in range(200)}


def test_names(suite: Path) -> None:
    variations = [
        perturb.rewrite(4, beside=suite),
        perturb.translate("fr", beside=suite),
        perturb.translate("fr", "pt-BR", "fr", beside=suite),
        perturb.persona("a retired teacher", beside=suite),
        perturb.persona(),
        perturb.prefix_context("a chat about cooking", beside=suite),
        perturb.chain(perturb.rewrite(4, beside=suite), perturb.casing()),
    ]
    assert [v.name for v in variations] == [
        "rewrite",
        "translate.fr",
        "translate.fr.pt-br",
        "persona.a-retired-teacher",
        "persona",
        "prefix-context.a-chat-about-cooking",
        "rewrite+casing",
    ]


@pytest.mark.parametrize(
    ("declare", "said"),
    [
        (lambda: perturb.rewrite(0), r"rewrite\(0\): give the number"),
        (perturb.translate, r"translate\(\) is empty"),
        (lambda: perturb.translate("French, please"), "give the code of a language"),
        (lambda: perturb.persona(" "), "say it in words"),
        (perturb.prefix_context, r"prefix_context\(\) is empty"),
    ],
)
def test_wrong_use(declare: Callable[[], Variation], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        declare()


def test_texts_stand_beside_the_file_that_declares(suite: Path) -> None:
    suite.write_text(
        "from __future__ import annotations\n"
        "from surfcheck import perturb\n"
        "found = [perturb.rewrite(4), perturb.translate('fr', 'de'), perturb.persona('a child'),\n"
        "         perturb.prefix_context('a chat')]\n"
    )
    found = runpy.run_path(str(suite))["found"]
    assert {w.path for v in found for w in v.written} == {suite.parent / "frozen/test_facts.jsonl"}
    assert [w.path.name for w in perturb.rewrite(4).written] == ["test_rewrite.jsonl"]
    assert perturb.rewrite(4, beside=suite).written == found[0].written


def test_it_is_the_file_where_the_code_lies_now_not_where_it_was_compiled(suite: Path) -> None:
    code = compile("found = perturb.rewrite(4)", "/old/test_moved.py", "exec")
    module = {"perturb": perturb, "__file__": str(suite)}
    exec(code, module)  # noqa: S102 (as pytest runs what it has compiled before)
    assert module["found"].written == perturb.rewrite(4, beside=suite).written


def test_where_there_is_no_file_it_has_to_be_said() -> None:
    with pytest.raises(UsageError, match="beside=PATH"):
        exec("perturb.rewrite(4)", {"perturb": perturb})  # noqa: S102 (a prompt without a file)


def test_nothing_is_read_before_it_is_drawn(suite: Path) -> None:
    (suite.parent / "frozen").mkdir()
    (suite.parent / "frozen" / "test_facts.jsonl").write_text("no JSON")
    variation = perturb.chain(perturb.rewrite(4, beside=suite), perturb.casing())
    with pytest.raises(DataError, match=r"test_facts\.jsonl:1: is not JSON"):
        perturb.sample(variation, PROMPT, random.Random(1))
    with pytest.raises(DataError, match=r"test_facts\.jsonl:1: is not JSON"):
        draw(variation, Prompt.of(PROMPT), most=4, seed="0")
    with pytest.raises(DataError, match=r"test_facts\.jsonl:1: is not JSON"):
        perturb.unfrozen(variation, PROMPT)


def test_a_prompt_without_lines_stays_as_it_is(suite: Path, freeze: Freeze) -> None:
    rewrite = perturb.rewrite(4, beside=suite)
    assert reach(rewrite) == {PROMPT}
    freeze(rewrite=["Does water freeze at 0 °C?"])
    assert reach(rewrite, "Something else?") == {"Something else?"}
    assert reach(rewrite) == {"Does water freeze at 0 °C?"}


def test_each_says_what_it_did(suite: Path, freeze: Freeze) -> None:
    freeze(
        rewrite=["R?"],
        translate_fr=["F ?"],
        **{"persona_a-child": ["C?"], "prefix-context_a-chat": [f"Hello.\n\n{PROMPT}"]},
    )
    steps = {
        perturb.rewrite(1, beside=suite): ("R?", "rewritten"),
        perturb.translate("fr", beside=suite): ("F ?", "translated: fr"),
        perturb.persona("a child", beside=suite): ("C?", "in the voice of: a child"),
        perturb.prefix_context("a chat", beside=suite): (f"Hello.\n\n{PROMPT}", "after: a chat"),
    }
    for variation, (text, step) in steps.items():
        case = perturb.sample(variation, PROMPT, random.Random(0))
        assert case == Case(Prompt.of(PROMPT), Prompt.of(text), variation.name, (step,))


def test_they_go_into_compositions(suite: Path, freeze: Freeze) -> None:
    freeze(rewrite=["Does water freeze at 0 °C?"], translate_fr=["Gèle-t-elle ?"])
    rewrite, french = perturb.rewrite(4, beside=suite), perturb.translate("fr", beside=suite)
    shout = perturb.perturbation("shout", lambda text: [(text + "!", "shouted")])
    assert reach(perturb.either(rewrite, french)) == {"Does water freeze at 0 °C?", "Gèle-t-elle ?"}
    assert reach(perturb.chain(rewrite, shout)) == {
        PROMPT,
        PROMPT + "!",
        "Does water freeze at 0 °C?",
        "Does water freeze at 0 °C?!",
    }
    german = perturb.translate("de", beside=suite)
    assert reach(perturb.either(german, shout)) == {PROMPT + "!"}
    both = perturb.chain(perturb.either(rewrite, french), perturb.chain(rewrite, shout))
    assert both.written == (*rewrite.written, *french.written)
    assert perturb.surface().written == ()


def test_persona_without_arguments_is_the_rule(suite: Path) -> None:
    assert perturb.persona().written == ()
    assert reach(perturb.persona(), "So?") >= {"I'm a teacher. So?"}


def test_only_the_last_turn_changes(suite: Path, freeze: Freeze) -> None:
    freeze(rewrite=["R?"])
    talk = Prompt((Message("system", "Be kind."), Message("user", PROMPT)))
    case = perturb.sample(perturb.rewrite(1, beside=suite), talk, random.Random(0))
    assert case.prompt == talk.with_text("R?")


def test_what_is_missing_is_told(suite: Path, freeze: Freeze) -> None:
    freeze(rewrite=["R?"])
    rewrite, french = perturb.rewrite(4, beside=suite), perturb.translate("fr", beside=suite)
    both = perturb.chain(rewrite, perturb.either(french, perturb.casing()))
    assert perturb.unfrozen(both, PROMPT) == french.written
    assert perturb.unfrozen(both, Prompt.of("Another?")) == (*rewrite.written, *french.written)
    assert perturb.unfrozen(both, " ") == ()
    assert perturb.unfrozen(perturb.casing(), PROMPT) == ()
    assert perturb.unfrozen(Unchanged(), PROMPT) == ()


@pytest.mark.parametrize("seed", range(40))
def test_every_case_is_from_the_file_and_the_unchanged_prompt_comes_first(
    suite: Path, freeze: Freeze, seed: int
) -> None:
    rng = random.Random(seed)
    texts = rng.choices([PROMPT, "a", "b", "c", "ü", "d d", "e\nf"], k=rng.randrange(8))
    freeze(rewrite=texts)
    count, most = rng.randint(1, 5), rng.randint(1, 8)
    rewrite = perturb.rewrite(count, beside=suite)
    cases = draw(rewrite, Prompt.of(PROMPT), most=most, seed="0")
    assert cases == draw(rewrite, Prompt.of(PROMPT), most=most, seed="0")
    assert cases[0] == Case(Prompt.of(PROMPT), Prompt.of(PROMPT), "rewrite")
    others = [case.prompt.text for case in cases[1:]]
    offered = set(texts[:count]) - {PROMPT}
    assert len(set(others)) == len(others) == min(most - 1, len(offered))
    assert set(others) <= offered
