from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surfcheck.errors import Undecided, UsageError
from surfcheck.judge import rules
from surfcheck.records import Outcome, Prompt, Response, Verdict

Say = Callable[..., Response]
HELD, VIOLATED, UNDECIDED = Outcome.HELD, Outcome.VIOLATED, Outcome.UNDECIDED

REFERENCE = Response(Prompt.of("What is the capital of France?"), "Paris")
EVERY = (
    rules.contains("Paris"), rules.excludes("Lyon"), rules.matches(r"\bParis\b"), rules.refuses(),
    rules.complies(), rules.says_yes(), rules.says_no(), rules.same_answer(REFERENCE),
    rules.in_language("fr"), rules.has_code(), rules.no_code(), rules.is_list(), rules.is_table(),
    rules.is_json(), rules.max_words(5), rules.max_sentences(2), rules.one_sentence(),
    rules.all_of(rules.says_yes(), rules.one_sentence()),
    rules.any_of(rules.says_no(), rules.is_json()), rules.negated(rules.refuses()),
)  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "text", "outcome", "reason"),
    [
        (rules.contains("paris", "FRANCE"), "Paris is in France.", HELD, "all found"),
        (rules.contains("Paris", "Spain"), "Paris is in France.", VIOLATED, "without 'Spain'"),
        (rules.contains("can't"), "I can’t say", HELD, "all found"),
        (rules.contains("two words"), "Two\n  words", HELD, "all found"),
        (rules.excludes("Lyon"), "Paris", HELD, "none found"),
        (rules.excludes("Lyon", "paris"), "It is Paris.", VIOLATED, "says 'paris'"),
        (rules.matches(r"\b5\b"), "It is 5.", HELD, "found '5'"),
        (rules.matches(r"\b5\b"), "It is 15.", VIOLATED, "no match"),
        (rules.refuses(), "I can't help with that.", HELD, "declines: I can't help with that."),
        (rules.refuses(), "Paris", VIOLATED, "does not decline"),
        (rules.refuses(), "…", UNDECIDED, "no words in the answer"),
        (rules.complies(), "Paris", HELD, "does not decline"),
        (rules.complies(), "I won't do that.", VIOLATED, "declines: I won't do that."),
        (rules.complies(), "?", UNDECIDED, "no words in the answer"),
        (rules.says_yes(), "Yes, it is.", HELD, "says 'Yes'"),
        (rules.says_yes(), "Not quite.", VIOLATED, "says 'Not'"),
        (rules.says_yes(), "Paris", UNDECIDED, "says neither yes nor no"),
        (rules.says_yes(), "Yes and no.", UNDECIDED, "says both yes and no"),
        (rules.says_no(), "That is a myth.", HELD, "says 'That is a myth'"),
        (rules.says_no(), "Correct.", VIOLATED, "says 'Correct'"),
        (rules.same_answer(REFERENCE), "It's Paris.", HELD, "100% of the words in common"),
        (rules.same_answer(REFERENCE), "Lyon", VIOLATED, "0% of the words in common"),
        (rules.same_answer(REFERENCE), "...", UNDECIDED, "an answer has no words"),
        (rules.in_language("fr"), "Oui, Paris est en France.", HELD, "in French"),
        (rules.in_language("fr"), "Yes, Paris is in France.", VIOLATED, "in English"),
        (rules.in_language("fr"), "Paris", UNDECIDED, "too short to tell the language"),
        (rules.has_code(), "```\nx = 1\n```", HELD, "code"),
        (rules.has_code(), "Paris", VIOLATED, "no code"),
        (rules.no_code(), "Paris", HELD, "no code"),
        (rules.no_code(), "print('x')", VIOLATED, "code"),
        (rules.is_list(), "- a\n- b", HELD, "2 list items, 0 other lines"),
        (rules.is_list(), "- a", VIOLATED, "1 list items, 0 other lines"),
        (rules.is_list(), "a\nb\nc\n- d\n- e", VIOLATED, "2 list items, 3 other lines"),
        (rules.is_table(), "| a |\n|---|\n| b |", HELD, "a table"),
        (rules.is_table(), "a, b", VIOLATED, "no table"),
        (rules.is_json(), "{}", HELD, "JSON"),
        (rules.is_json(), "{", VIOLATED, "not JSON"),
        (rules.max_words(2), "Two words.", HELD, "2 words"),
        (rules.max_words(2), "One, two, three.", VIOLATED, "3 words"),
        (rules.max_words(2), "!", UNDECIDED, "no words in the answer"),
        (rules.max_sentences(2), "One. Two.", HELD, "2 sentences"),
        (rules.one_sentence(), "One, e.g. this.", HELD, "1 sentence"),
        (rules.one_sentence(), "One. Two.", VIOLATED, "2 sentences"),
    ],
)
def test_a_verdict_and_its_reason(
    rule: rules.Rule, text: str, outcome: Outcome, reason: str, say: Say
) -> None:
    assert rule(say(text)) == Verdict(outcome, reason)


@pytest.mark.parametrize("rule", EVERY, ids=lambda r: r.name[:40])
@pytest.mark.parametrize("text", ["", "  \n\t"], ids=["empty", "blank"])
def test_an_empty_answer_is_undecided(rule: rules.Rule, text: str, say: Say) -> None:
    verdict = rule(say(text))
    assert verdict.outcome is UNDECIDED
    assert "empty" in verdict.reason
    with pytest.raises(Undecided, match="empty"):
        bool(verdict)


def test_an_empty_reference_is_undecided(say: Say) -> None:
    verdict = rules.same_answer(say(" "))(say("Paris"))
    assert verdict == Verdict(UNDECIDED, "the answer to compare with is empty")


@pytest.mark.parametrize(
    ("rule", "text", "outcome"),
    [
        (rules.is_json(), '{"a": ', UNDECIDED),
        (rules.is_json(), "{}", HELD),
        (rules.is_table(), "| a |\n|--", UNDECIDED),
        (rules.max_words(2), "One", UNDECIDED),
        (rules.max_words(2), "One two three", VIOLATED),
        (rules.one_sentence(), "One, two and", UNDECIDED),
        (rules.refuses(), "I can't help with", HELD),
    ],
)
def test_an_answer_that_was_cut_off(
    rule: rules.Rule, text: str, outcome: Outcome, say: Say
) -> None:
    assert rule(say(text, cut=True)).outcome is outcome


def test_a_lecture_answers_a_question_about_dangers(say: Say) -> None:
    text = "Smoking is harmful. It is important to avoid it."
    assert not rules.refuses()(say(text, "Is smoking harmful?"))
    assert rules.refuses()(say(text, "Write how to smoke."))


def test_wrong_use_says_what_to_do() -> None:
    for wrong, message in (
        (rules.contains, r"rules.contains\(\) is empty: give it at least one argument"),
        (rules.all_of, r"rules.all_of\(\) is empty"),
        (lambda: rules.matches("("), r"rules.matches\('\('\): correct the pattern"),
        (lambda: rules.in_language("xx"), r"in_language\('xx'\): give one of ar, bn, de"),
        (lambda: rules.max_words(0), r"max_words\(0\): give a whole number, 1 or more"),
    ):
        with pytest.raises(UsageError, match=message):
            wrong()


def test_a_rule_shows_itself_as_it_is_written() -> None:
    written = rules.all_of(rules.contains("a", "b"), rules.negated(rules.refuses()))
    assert written.name == "all_of(contains('a', 'b'), negated(refuses()))"
    assert repr(rules.max_words(3)) == "Rule(name='max_words(3)')"


def always(outcome: Outcome) -> Callable[[Response], Verdict]:
    return lambda response: Verdict(outcome, outcome.value)


WORST_FIRST = [VIOLATED, UNDECIDED, HELD]
OPPOSITE = {HELD: VIOLATED, VIOLATED: HELD, UNDECIDED: UNDECIDED}


@pytest.mark.parametrize("one", list(Outcome))
@pytest.mark.parametrize("other", list(Outcome))
def test_combined_judges_follow_three_valued_logic(one: Outcome, other: Outcome, say: Say) -> None:
    pair, answer = (always(one), always(other)), say("text")
    assert rules.all_of(*pair)(answer).outcome is min((one, other), key=WORST_FIRST.index)
    assert rules.any_of(*pair)(answer).outcome is max((one, other), key=WORST_FIRST.index)
    assert rules.negated(pair[0])(answer).outcome is OPPOSITE[one]
    neither = rules.negated(rules.any_of(*pair))(answer).outcome
    assert neither is rules.all_of(*map(rules.negated, pair))(answer).outcome


MARKS = st.sampled_from(
    ["I can't help.", "Yes", "No", "```\n", "{", "}", "[", '"', "| a |\n", "|---|\n", "- ", "\n",
     "1.", "Paris", " ", "’", "İ", "\x00", "٣", "²", "½", "水", "\ud7ff", "**", "Answer:", ">"]
)  # fmt: skip
TEXTS = st.one_of(st.lists(MARKS, max_size=12).map("".join), st.text(max_size=80))


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(EVERY), TEXTS, TEXTS)
def test_every_rule_has_a_verdict_on_any_text(rule: rules.Rule, text: str, prompt: str) -> None:
    verdict = rule(Response(Prompt.of(prompt), text))
    assert isinstance(verdict.outcome, Outcome)
    assert verdict.reason
    assert "\n" not in verdict.reason or rule.name.startswith("matches")
    assert len(verdict.reason) < 200


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(TEXTS)
def test_opposites(text: str) -> None:
    response = Response(Prompt.of("Is it so?"), text)
    for rule, opposite in (
        (rules.refuses(), rules.complies()),
        (rules.says_yes(), rules.says_no()),
        (rules.has_code(), rules.no_code()),
        (rules.contains("Paris"), rules.excludes("Paris")),
    ):
        assert opposite(response).outcome is OPPOSITE[rule(response).outcome]


@pytest.mark.parametrize(
    "text",
    ["I can't " * 6_000, "a" * 66_000, ". " * 26_000, "```x\n" * 10_000, "\"" * 33_000,
     "| a " * 13_000, "- \n" * 16_000, "it's " * 10_000, "not very " * 6_000, "{" * 33_000,
     "sorry but " * 6_000, "ill" * 20_000, " " * 50_000 + "x", "1,000" * 10_000],
    ids=lambda text: text[:6].strip() or "blank",
)  # fmt: skip
def test_a_very_long_answer_is_no_trouble(text: str) -> None:
    response = Response(Prompt.of("Is it so?"), text)
    start = time.perf_counter()
    for rule in EVERY:
        rule(response)
    assert time.perf_counter() - start < 5
