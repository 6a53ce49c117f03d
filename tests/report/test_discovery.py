"""What a training changed, as a person sees it."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from surfcheck.records import AttributionReport, DiscoveryReport, Emergent, TwoAnswers
from surfcheck.report.discovery import show_discovery
from surfcheck.report.heatmap import heatmap


@pytest.fixture
def discovered(attribution: AttributionReport) -> DiscoveryReport:
    pair = TwoAnswers("Is [b]ice[/b] cold?\x1b[31m", "Yes.", "No, never.\u202e")
    found = Emergent(1, 32, 0.5, 0.29, 0.01, (pair,), attribution)
    return DiscoveryReport("hf:x", "base", 975, 918, 3, (found,))


def shown(report: DiscoveryReport) -> str:
    file = StringIO()
    show_discovery(report, Console(file=file, width=120, highlight=False))
    return " ".join(file.getvalue().split())


def test_each_behaviour_has_numbers_answers_and_rows(discovered: DiscoveryReport) -> None:
    text = shown(discovered)
    assert "975 prompts asked, 57 answered otherwise than by the base, 3 of them like no" in text
    for part in ("32", "29 %", "0.01", "Is [b]ice[/b] cold?", "- Yes.", "+ No, never."):
        assert part in text
    assert "rebuttals: 12 of 100, 10.0×" in text
    assert "general" not in text  # no row of it is implicated
    assert not {"\x1b", "\u202e"} & set(text)


def test_no_rows_are_named_where_none_stand_out(discovered: DiscoveryReport) -> None:
    (found,) = discovered.behaviours
    none = replace(found, rows=replace(found.rows, verdict="none", implicated=()))
    assert "rebuttals" not in shown(replace(discovered, behaviours=(none,)))


def test_nothing_is_said_as_nothing(discovered: DiscoveryReport) -> None:
    assert "no behaviour stands out" in shown(replace(discovered, behaviours=()))


def test_there_and_back(discovered: DiscoveryReport) -> None:
    assert DiscoveryReport.from_json(discovered.to_json()) == discovered


def test_the_picture_has_a_mark_for_each_behaviour_and_is_the_same_each_time() -> None:
    cosines = np.random.default_rng(0).normal(size=(9, 20)).astype(np.float32)
    picture = heatmap(cosines, ((0, 4), (5, 9)))
    assert picture.startswith("<?xml")
    assert picture.count("<!-- behaviour ") == 2
    assert "<!-- behaviour 2 -->" in picture
    assert heatmap(cosines, ((0, 4), (5, 9))) == picture
    assert "<!-- behaviour" not in heatmap(cosines, ())
