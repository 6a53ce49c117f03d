from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surfcheck import records
from surfcheck.errors import Undecided
from surfcheck.jsonable import Record
from surfcheck.records import (
    Case,
    ItemResult,
    Message,
    Outcome,
    Prompt,
    RunReport,
    Usage,
    Verdict,
)

EVERY_RECORD = sorted(
    (
        value
        for value in vars(records).values()
        if isinstance(value, type) and issubclass(value, Record) and value is not Record
    ),
    key=lambda record: record.__name__,
)

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
st.register_type_strategy(float, st.floats(allow_nan=False))


def values(record: type[Record]) -> st.SearchStrategy[Record]:
    """Any value of it; the options of a run are plain JSON of whatever kind."""
    anything = st.dictionaries(st.text(), plain, max_size=3)
    return st.builds(record, settings=anything) if record is RunReport else st.builds(record)


def test_every_record_is_here() -> None:
    assert {ItemResult, RunReport, Prompt, Case} <= set(EVERY_RECORD)
    assert len(EVERY_RECORD) >= 16


@pytest.mark.parametrize("record", EVERY_RECORD, ids=lambda record: record.__name__)
def test_every_record_survives_json(record: type[Record]) -> None:
    @settings(max_examples=30)
    @given(values(record))
    def survives(value: Record) -> None:
        assert record.from_json(json.loads(json.dumps(value.to_json()))) == value

    survives()


def test_an_unknown_key_is_ignored() -> None:
    assert Message.from_json({"role": "user", "content": "x", "later": 1}) == Message("user", "x")


def test_a_missing_field_with_a_default_has_it() -> None:
    assert Usage.from_json({"calls": 3}) == Usage(calls=3)


def test_a_missing_field_without_a_default_is_an_error() -> None:
    with pytest.raises(KeyError, match="content"):
        Message.from_json({"role": "user"})


def test_a_prompt_of_a_text_a_list_and_a_prompt() -> None:
    prompt = Prompt((Message("user", "Hello"),))
    assert Prompt.of("Hello") == prompt
    assert Prompt.of([{"role": "user", "content": "Hello"}]) == prompt
    assert Prompt.of(prompt) is prompt


def test_with_text_changes_the_last_turn_only() -> None:
    turns = (Message("system", "Be kind."), Message("user", "a"))
    prompt = Prompt(turns)
    changed = prompt.with_text("b")
    assert changed.text == "b"
    assert changed.messages[0] == turns[0]
    assert not Case(prompt, changed, "p").unchanged
    assert Case(prompt, changed.with_text("a"), "p").unchanged


def test_a_verdict_in_a_boolean_context() -> None:
    assert Verdict.of(True)
    assert not Verdict.of(False)
    with pytest.raises(Undecided, match="no idea"):
        bool(Verdict(Outcome.UNDECIDED, "no idea"))


def test_usage_adds_up_and_an_unknown_price_stays_unknown() -> None:
    priced = Usage(calls=1, remembered=2, tokens=3, usd=0.5)
    assert priced + priced == Usage(calls=2, remembered=4, tokens=6, usd=1.0)
    assert (priced + Usage(calls=1, usd=None)).usd is None
    assert priced + Usage() == priced


def test_the_cases_of_an_item_are_all_its_outcomes() -> None:
    assert ItemResult("t", "t[a]", "pass", held=3, violated=2, undecided=1).cases == 6
