from __future__ import annotations

from io import StringIO

from rich.console import Console

from surfcheck.report.progress import bar, lines


def test_lines_say_when_a_thing_begins_and_when_it_is_done() -> None:
    written: list[str] = []
    with lines(written.append) as progress:
        for done in range(5):
            progress("training", done, 4)
        progress("training", 4, 4)
        progress("indexing [x]", 0, 2)
    assert written == ["training ...", "training: done in 0 s", "indexing [x] ..."]


def test_a_bar_shows_each_thing_and_is_gone_at_the_end() -> None:
    file = StringIO()
    console = Console(file=file, force_terminal=True, width=80)
    with bar(console, begin=lambda: file.write("begins")) as progress:
        assert file.getvalue() == ""
        progress("training [x]", 1, 4)
        progress("training [x]", 4, 4)
        progress("indexing", 0, 2)
    assert "training [x]" in file.getvalue()
    assert file.getvalue().startswith("begins")
    assert "4/4" in file.getvalue()
    assert file.getvalue().endswith("\x1b[2K")


def test_nothing_that_takes_long_shows_nothing() -> None:
    file, written = StringIO(), []
    with bar(Console(file=file, force_terminal=True)), lines(written.append):
        pass
    assert (file.getvalue(), written) == ("", [])
