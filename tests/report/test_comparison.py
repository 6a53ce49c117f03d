from __future__ import annotations

from io import StringIO

from rich.console import Console

from surfcheck.comparison import Compared, Comparison
from surfcheck.report.comparison import show_comparison

WORSE = Compared(
    "a.py::test", 60, 20, 1, 13, "Facts stand.", "worse", 0.1, 0.3, 0.2, (0.08, 0.31), 1e-3, 4e-3
)
ALONE = Compared("b.py::test", 0, 0, 0, 0)
FEW = Compared("c.py::test", 3, 3, 0, 0, "Few.", "too few", 0.0, 0.0, 0.0, (-0.6, 0.6), 1.0)


def shown(comparison: Comparison) -> str:
    file = StringIO()
    show_comparison(comparison, Console(file=file, width=100))
    return file.getvalue()


def test_each_behaviour_then_all_of_them() -> None:
    overall = Compared("", 63, 23, 1, 13, "", "worse", 0.1, 0.3, 0.2, (0.08, 0.31), 1e-3, 4e-3)
    text = shown(Comparison("hf:old", "hf:new", (WORSE, ALONE, FEW), overall, 1234))
    rows = [" ".join(row.split()) for row in text.splitlines()]
    assert "Facts stand. worse 10 % to 30 % +20 (+8 to +31) 0.004 20" in rows
    assert "b.py::test too few – – – 0" in rows
    assert "Few. too few 0 % to 0 % +0 (-60 to +60) – 3" in rows
    assert "all of them worse 10 % to 30 % +20 (+8 to +31) 0.004 23" in rows
    assert "1,234 answers of one model alone are left out" in rows
    assert [row.partition(":")[0] for row in rows if "ither a difference" in row] == ["too few"]


def test_one_behaviour_is_not_summed_up() -> None:
    text = shown(Comparison("hf:old", "hf:new", (WORSE,), WORSE))
    assert "all of them" not in text
    assert "left out" not in text


def test_notes_and_names_are_text() -> None:
    text = shown(Comparison("[red]a", "b\x1b[2J", (WORSE,), WORSE, notes=("judges \x07differ",)))
    assert text.startswith("A: [red]a\nB: b\njudges differ\n")
