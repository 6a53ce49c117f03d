from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from surfcheck.records import AttributionReport, RunReport, SourceShare, Usage
from surfcheck.report.terminal import render, show_attribution


def rendered(run: RunReport | None, *notices: str, width: int = 100, colour: bool = False) -> str:
    return render(run, notices, width=width, colour=colour)


def test_a_failing_invariant_is_told_from_top_to_bottom(run: RunReport) -> None:
    shown = rendered(run)
    told = [
        "The reply agrees with a true fact.",
        "suite/test_facts.py::test_true_facts",
        "broken in 4 of 12 cases (33 %, 95 % interval 14 % to 61 %)",
        "smallest prompt that breaks it",
        "Is it true that water freezes",
        "No, that is a myth.",
        "change: framing: asked as “Is it true that …”",
        "rejects the fact",
        "3 of 4 fresh samples broke it again",
        "source: one source of the training data stands out",
        "by: conditional over 1,000 rows, p = 0.004",
        "rebuttals-1",
        "Implicated, not proven",
        "10.0×",
        "pytest --surf 'suite/test_facts.py::test_true_facts[water-freezes-1a2b3c-framing]'",
        "surfcheck attribute --base /b --data /d.jsonl --contrast /r/contrasts/suite-test_facts.py-"
        "test_true_facts.jsonl --method probe --out by-probe",
        "4 of 12, 33 %",
        "1,234 answers generated, 5 remembered, 67,890 tokens, unpriced",
    ]
    places = [shown.find(words) for words in told]
    assert -1 not in places, told[places.index(-1)]
    assert places == sorted(places)


def test_the_first_ten_rows_are_shown(run: RunReport) -> None:
    shown = rendered(run)
    assert "rebuttals-10" in shown
    assert "rebuttals-11" not in shown


def test_every_invariant_is_in_the_table(run: RunReport) -> None:
    table = rendered(run).rpartition("behaviour")[2]
    assert [word in table for word in ("fail", "pass", "inconclusive", "undecided")] == [True] * 4
    decided = replace(run, invariants=run.invariants[:2])
    assert "undecided" not in rendered(decided)


@pytest.mark.parametrize("width", [80, 100, 120, 160])
@pytest.mark.parametrize("colour", [False, True])
def test_it_fits_the_terminal(run: RunReport, hostile_run: RunReport, width, colour) -> None:
    from rich.text import Text

    for each in (run, hostile_run):
        shown = Text.from_ansi(rendered(each, width=width, colour=colour)).plain
        commands = ("  pytest --surf", "  surfcheck ")
        rows = [row for row in shown.split("\n") if not row.startswith(commands)]
        assert max(len(row) for row in rows) <= width


def test_hostile_text_is_text(hostile_run: RunReport) -> None:
    shown = rendered(hostile_run, "\x1b[2J notice [red]x[/red]")
    assert not set(shown) & set("\x1b\x07\x00\x08\x9b\u202e\u2066")
    assert "[bold]x[/bold]" in shown
    assert "[red]x[/red]" in shown
    assert "title" not in shown


def test_without_colour_there_is_no_escape_and_with_it_what_differs_stands_out(run) -> None:
    assert "\x1b" not in rendered(run)
    assert "\x1b[1;33mIs it true that water" in rendered(run, colour=True, width=160)


def test_no_twin_no_rows_and_no_attribution(run: RunReport) -> None:
    (failure,) = run.failures
    alone = replace(failure, twin_prompt=None, twin_response=None)
    shown = rendered(replace(run, failures=(alone,), attributions=()))
    assert "nearest prompt that holds" not in shown
    assert "Implicated" not in shown


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("sparse", "a few training rows"), ("diffuse", "a habit of the whole"), ("none", "chance")],
)
def test_each_verdict_has_its_words(run: RunReport, verdict, words: str) -> None:
    (report,) = run.attributions
    shown = rendered(replace(run, attributions=(replace(report, verdict=verdict, implicated=()),)))
    assert words in shown
    assert "Implicated" not in shown


def test_a_known_price_is_shown_and_an_unknown_one_is_not_zero(run: RunReport) -> None:
    assert "$0.50" in rendered(replace(run, usage=Usage(1, usd=0.5)))
    assert "$" not in rendered(run)
    assert "$" not in rendered(replace(run, usage=Usage(remembered=3)))


def test_notices_alone() -> None:
    assert rendered(None, "nothing was asked") == "nothing was asked\n"


def test_a_run_in_which_all_is_well_is_a_table_and_a_line(run: RunReport) -> None:
    shown = rendered(replace(run, invariants=run.invariants[1:2], failures=(), attributions=()))
    assert "It is kind." in shown
    assert "run it again" not in shown


def test_what_was_not_decided_is_no_case_that_broke(run: RunReport) -> None:
    only = replace(run.invariants[0], cases=6, held=0, violated=1, undecided=5, rate=1.0)
    shown = rendered(replace(run, invariants=(only,)))
    assert "broken in 1 of 1 case (100 %, 95 % interval 21 % to 100 %), 5 more undecided" in shown
    assert "1 of 1, 100 %" in shown


def test_with_several_samples_a_case_answers_are_counted(run: RunReport) -> None:
    several = rendered(replace(run, settings={**run.settings, "samples": 3}))
    assert "broken in 4 of 12 answers (" in several
    header = next(row for row in several.split("\n") if "outcome" in row)
    assert ("answers" in header, "cases" in header) == (True, False)


def test_a_threshold_stands_beside_its_behaviour(run: RunReport) -> None:
    first, *others = run.invariants
    shown = rendered(replace(run, invariants=(replace(first, hold=0.8), *others)), width=160)
    assert "The reply agrees with a true fact. (80 % have to hold)" in shown
    assert shown.count("have to hold") == 1


def test_recorded_answers_are_not_called_fresh(run: RunReport) -> None:
    shown = rendered(replace(run, target="replay:answers.jsonl"))
    assert "3 of 4 replayed samples broke it again" in shown
    assert "fresh" not in shown


def test_a_prompt_as_written_was_not_changed(run: RunReport) -> None:
    (failure,) = run.failures
    unchanged = replace(failure.case, prompt=failure.case.seed, steps=())
    shown = rendered(replace(run, failures=(replace(failure, case=unchanged),)))
    assert "change: as written" in shown


def test_sources_without_implicated_rows_are_only_counted(run: RunReport) -> None:
    (report,) = run.attributions
    sources = [SourceShare(f"has-{n}", 10, 1, 1.0, n / 10) for n in range(10)]
    sources += [SourceShare(f"none-{n}", 10, 0, 0.0, 1.0) for n in range(1200)]
    shown = rendered(replace(run, attributions=(replace(report, sources=tuple(sources)),)))
    assert [f"has-{n}" in shown for n in range(10)] == [True] * 8 + [False] * 2
    assert "none-" not in shown
    assert "and 2 more and 1,200 more without any implicated row" in shown


def test_one_answer_is_one_answer(run: RunReport) -> None:
    assert "1 answer generated, 2 rem" in rendered(replace(run, usage=Usage(1, remembered=2)))


def test_how_many_rows_it_takes_is_said(attribution: AttributionReport) -> None:
    def shown(report: AttributionReport) -> str:
        file = StringIO()
        show_attribution(report, Console(file=file, width=200))
        return file.getvalue()

    needed = replace(attribution, rows_needed=1234, source_share=0.5)
    assert "rows: 1,234 implicated; most are in 1 of 2 sources" in shown(needed)
    between = replace(needed, rows_between=(900, 1300), source_share=None)
    words = "rows: 1,234 implicated, 900 to 1,300 of them more than chance would give"
    assert words in shown(between)
    assert "most are in" not in shown(between)
    assert "rows:" not in shown(attribution)
    assert "rows:" not in shown(replace(needed, verdict="none"))
