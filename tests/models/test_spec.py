"""How models are named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from surfcheck.errors import UsageError
from surfcheck.models.spec import Spec, number, one_of, parse_spec, whole

NAMES = st.text(st.characters(blacklist_characters="?", codec="utf-8"), min_size=1)
WORDS = st.text("abcxyz_", min_size=1)
VALUES = st.text(st.characters(codec="utf-8"), min_size=1)


@given(WORDS, NAMES, st.dictionaries(WORDS, VALUES))
def test_a_spec_reads_back_what_it_writes(
    provider: str, name: str, parameters: dict[str, str]
) -> None:
    spec = Spec(provider, name, parameters)
    assert parse_spec(str(spec)) == spec


def test_parts() -> None:
    spec = parse_spec("openai:llama?base_url=http://localhost:8000/v1&temperature=0.5")
    assert (spec.provider, spec.name) == ("openai", "llama")
    assert spec.parameters == {"base_url": "http://localhost:8000/v1", "temperature": "0.5"}
    assert parse_spec("python:module:function").name == "module:function"
    assert parse_spec("hf:p?device=cuda%3A1").parameters == {"device": "cuda:1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no provider"),
        ("./model", "write provider:name, such as hf:./model"),
        (":name", "such as hf:name"),
        ("hf:", "write hf:NAME"),
        ("hf:?seed=1", "write hf:NAME"),
        ("hf:p?", "'' is no parameter: write key=value"),
        ("hf:p?seed", "'seed' is no parameter"),
        ("hf:p?seed=", "'seed=' is no parameter"),
        ("hf:p?=1", "'=1' is no parameter"),
        ("hf:p?seed=1&seed=2", "seed is given twice"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"^[^\n]*{said.replace('?', '[?]')}[^\n]*$"):
        parse_spec(text)


READERS = {"seed": whole(0), "top_p": number(0, 1), "temperature": number(0), "dtype": one_of("a")}


def test_parameters_become_values() -> None:
    spec = parse_spec("hf:p?seed=3&top_p=0.5&temperature=2&dtype=a")
    assert spec.read(READERS) == {"seed": 3, "top_p": 0.5, "temperature": 2.0, "dtype": "a"}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("seed=-1", "seed is '-1': give a whole number, 0 or more"),
        ("seed=²", "a whole number"),
        ("seed=1.5", "a whole number"),
        ("top_p=2", "top_p is '2': give a number, 0-1"),
        ("temperature=warm", "temperature is 'warm': give a number, 0 or more"),
        ("temperature=nan", "a number, 0 or more"),
        ("temperature=inf", "a number, 0 or more"),
        ("dtype=b", "dtype is 'b': give one of a"),
        ("heat=1", "no parameter 'heat'; hf: takes seed, top_p, temperature, dtype"),
    ],
)
def test_a_wrong_parameter_says_what_it_takes(query: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_spec(f"hf:p?{query}").read(READERS)
