"""`surfcheck freeze`: what the suites want a model to write, written, checked, and kept in files.

`wanted` collects the suites in a pytest of its own, in which this module is the plugin that notes
prompts and perturbations: nothing is asked there, and no test runs. `freeze` asks the writer for
what is not in the files yet, has the checker look at each text's meaning, and writes the files.
Runs read those files alone (`perturb.frozen`).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from surfcheck.errors import UsageError
from surfcheck.invariants import MARK, PERTURBATION
from surfcheck.jsonable import Record
from surfcheck.perturb import Variation, writing
from surfcheck.perturb.frozen import Check, Rewrite, Written, is_unicode, read, write
from surfcheck.records import Prompt, Response
from surfcheck.report.text import clean, line
from surfcheck.roles import Ask, Model, Progress, silent

ROUNDS = 3
"""How often the writer is asked for what is still missing of a prompt."""
BATCH = 64
"""Prompts that are asked about together; after each batch the file is written."""


class Want(NamedTuple):
    """A prompt that a model has to write something of."""

    suite: Path
    """The file that declares the perturbation; `frozen/` lies beside it."""
    prompt: str
    """The prompt as written there, its last turn."""
    perturbation: Written
    """What is wanted."""
    whole: bool = True
    """Whether everything in the suite was looked at: else a line nobody wants may be of use."""


@dataclass(frozen=True, slots=True)
class Short(Record):
    """A prompt of which there is less than was wanted."""

    prompt: str
    """The prompt."""
    perturbation: str
    """The perturbation's name."""
    offered: int
    """How many texts a run can ask."""
    wanted: int
    """How many it wants."""
    reason: str
    """Why there are no more."""


@dataclass(frozen=True, slots=True)
class FrozenSuite(Record):
    """What became of one file."""

    file: str
    """Its path; there is none yet if nothing was ever written."""
    kept: int
    """Lines that were there, stay, and will be asked."""
    written: int
    """New lines that a run will ask."""
    rejected: int
    """New lines that do not mean the same: kept to be seen, never asked."""
    rejected_before: int
    """Such lines that were there and stay."""
    stale: tuple[str, ...]
    """Prompts that the suite no longer has, or wants nothing written of."""
    dropped: int
    """Lines taken out of the file."""
    short: tuple[Short, ...]
    """Where there is less than was wanted."""


@dataclass(frozen=True, slots=True)
class Frozen(Record):
    """What `freeze` came to."""

    suites: tuple[FrozenSuite, ...]
    """One a file, in the order of the collection."""

    @property
    def bare(self) -> tuple[Short, ...]:
        """The prompts that could not be rewritten at all: a finding."""
        return tuple(s for suite in self.suites for s in suite.short if not s.offered)


# Finding what is wanted


def wanted(paths: Sequence[str | Path] = ()) -> list[Want]:
    """What the suites in these files and folders want, in their order; without paths all of them.

    Raises UsageError where pytest finds no tests there or can't collect them.
    """
    with tempfile.TemporaryDirectory(prefix="surfcheck-") as folder:
        out = Path(folder) / "wanted.json"
        options = ("--surf", "--collect-only", "-q", "-p", __name__, f"--surf-wanted={out}")
        ran = subprocess.run(  # noqa: S603 (our own interpreter)
            [sys.executable, "-m", "pytest", *options, *map(str, paths)],
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        found: Any = json.loads(out.read_text("utf-8")) if out.exists() else {}
    _complain(ran, found.get("errors", []))
    partial = set(found["partial"]) | {str(p).partition("::")[0] for p in paths if "::" in str(p)}
    partial = {str(Path(p).absolute()) for p in partial}
    wants = [(Written.from_json(w["written"]), w["prompt"], w["test"]) for w in found["wants"]]
    # A file that several suites declare from is known wholly only to those who know all of them.
    partial |= {written.suite for written, _, test in wants if written.suite != test}
    return list(
        dict.fromkeys(
            Want(Path(written.suite), prompt, written, written.suite not in partial)
            for written, prompt, _ in wants
        )
    )


def _complain(ran: subprocess.CompletedProcess[bytes], errors: Sequence[str]) -> None:
    more = "pytest --surf --collect-only shows more"
    if errors:
        raise UsageError(f"{line(errors[0], 400)}; correct it ({more})")
    if ran.returncode == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise UsageError("no tests there; name a file or folder with suites")
    if ran.returncode != pytest.ExitCode.OK:
        said = ran.stderr.decode(errors="replace").splitlines()
        *_, last = [text for text in said if "error: " in text.lower()] or ["no reason given"]
        raise UsageError(f"can't collect: {line(last.removeprefix('ERROR: '), 400)}; {more}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--surf-wanted", metavar="FILE", help="write there what is to be written")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Collecting(Path(config.getoption("surf_wanted"))))


class _Collecting:
    """The plugin in the pytest that `wanted` starts."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._errors: list[str] = []
        self._partial: set[str] = set()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            *_, last = report.longreprtext.strip().splitlines() or ["no reason given"]
            reason = last.removeprefix("E").strip()
            self._errors.append(f"{report.nodeid} can't be collected: {reason}")

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self._partial.update(str(item.path) for item in items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        wants = [want for item in session.items for want in self._wants(item)]
        found = {"errors": self._errors, "partial": sorted(self._partial), "wants": wants}
        self._out.write_text(json.dumps(found), "utf-8")

    def _wants(self, item: pytest.Item) -> Iterator[dict[str, Any]]:
        if not isinstance(item, pytest.Function) or item.get_closest_marker(MARK) is None:
            return
        parameters: Mapping[str, Any] = item.callspec.params
        perturbation = parameters.get(PERTURBATION)
        if not isinstance(perturbation, Variation) or not perturbation.written:
            return
        try:
            text = Prompt.of(parameters["prompt"]).text
        except (KeyError, TypeError):
            self._errors.append(
                f"{item.nodeid}: what its prompt is can't be seen before it runs: "
                "parametrize `prompt` with texts"
            )
            return
        for written in perturbation.written if text.strip() else ():
            yield {"test": str(item.path), "prompt": text, "written": written.to_json()}


# Having it written


@dataclass(slots=True)
class _Page:
    """The lines of one prompt and one perturbation."""

    prompt: str
    perturbation: Written
    kept: list[Rewrite]
    """Lines that stay."""
    old: list[Rewrite]
    """Lines that stay where no new one comes in their place."""
    new: list[Rewrite] = field(default_factory=list)
    """Lines that came now."""
    reason: str = ""
    """Why there are not more."""

    @property
    def missing(self) -> int:
        """How many texts are still wanted."""
        return self.perturbation.count - sum(r.offered for r in (*self.kept, *self.new))

    @property
    def lines(self) -> list[Rewrite]:
        """What the file will have."""
        spare = [r for r in self.old if r.offered][: max(0, self.missing)]
        return [*self.kept, *spare, *self.new]

    def fresh(self, answer: Response) -> list[str]:
        """The texts in a writer's answer that are not known yet, no more than are missing."""
        found = writing.texts(self.perturbation, self.prompt, clean(answer.text))
        known = {writing.words(r.text) for r in (*self.kept, *self.new)}
        new = [text for text in found if writing.words(text) not in known and is_unicode(text)]
        if answer.refusal is not None:
            self.reason = f"the writer refused: {line(answer.refusal)}"
        elif not new and not self.reason:
            self.reason = f"the writer's answer had no new text: {line(answer.text, 80)!r}"
        return new[: self.missing]


def freeze(
    wanted: Iterable[Want],
    writer: Model,
    checker: Model,
    *,
    update: bool,
    progress: Progress = silent,
) -> Frozen:
    """Write what is wanted and not in the files yet; with `update`, all of it anew.

    A person's lines stay. Lines that nothing wants are reported, and dropped with `update`. Every
    batch is written at once, so that what was answered is kept whatever comes after. Raises
    DataError for a bad line in a file, ModelError if a model can't be asked.
    """
    files: dict[Path, list[Want]] = {}
    for want in wanted:
        files.setdefault(want.perturbation.path, []).append(want)
    before = {path: read(path) for path in files}  # a bad line is told before anything is asked
    return Frozen(
        tuple(
            _Freezing(path, wants, before[path], update).run(writer, checker, progress)
            for path, wants in files.items()
        )
    )


class _Freezing:
    """One file, on its way from what it was to what it will be."""

    def __init__(
        self, path: Path, wants: Sequence[Want], before: tuple[Rewrite, ...], update: bool
    ) -> None:
        self._path, self._before = path, before
        whole = all(want.whole for want in wants)
        self._pages = _pages(wants, before, update)
        unwanted = [r for r in before if (r.prompt, r.perturbation) not in self._pages]
        self._stale = tuple(dict.fromkeys(r.prompt for r in unwanted)) if whole else ()
        self._rest = [] if whole and update else unwanted
        asked = [want.prompt for want in wants]
        prompts = [r.prompt for r in before]
        prompts = asked + prompts if whole else prompts + asked
        self._order = {prompt: n for n, prompt in enumerate(dict.fromkeys(prompts))}

    def run(self, writer: Model, checker: Model, progress: Progress) -> FrozenSuite:
        """Ask, and write the file."""
        todo = [page for page in self._pages.values() if page.missing > 0]
        what = f"writing {self._path.name}"
        for start in range(0, len(todo), BATCH):
            progress(what, start, len(todo))
            batch = todo[start : start + BATCH]
            try:
                _fill(batch, writer, checker)
            finally:
                if any(page.new for page in batch):
                    self._write()
        if todo:
            progress(what, len(todo), len(todo))
        self._write()
        return self._result()

    def _write(self) -> None:
        lines = self._lines()
        if lines != list(self._before):
            write(self._path, lines)

    def _lines(self) -> list[Rewrite]:
        lines = [r for page in self._pages.values() for r in page.lines] + self._rest
        return sorted(lines, key=lambda r: (self._order[r.prompt], r.perturbation))

    def _result(self) -> FrozenSuite:
        lines = self._lines()
        new = [r for page in self._pages.values() for r in page.new]
        written = sum(r.offered for r in new)
        kept = sum(r.offered for r in lines) - written
        rejected = len(new) - written
        rejected_before = len(lines) - len(new) - kept
        return FrozenSuite(
            file=str(self._path),
            kept=kept,
            written=written,
            rejected=rejected,
            rejected_before=rejected_before,
            stale=self._stale,
            dropped=len(self._before) - kept - rejected_before,
            short=tuple(s for page in self._pages.values() for s in _short(page)),
        )


def _pages(
    wants: Sequence[Want], before: Sequence[Rewrite], update: bool
) -> dict[tuple[str, str], _Page]:
    pages: dict[tuple[str, str], _Page] = {}
    for want in wants:
        key = (want.prompt, want.perturbation.name)
        there = [r for r in before if (r.prompt, r.perturbation) == key]
        kept = [r for r in there if r.by_hand or not update]
        old = [r for r in there if not r.by_hand and update]
        page = pages.setdefault(key, _Page(want.prompt, want.perturbation, kept, old))
        if not is_unicode(want.prompt):
            page.reason = "the prompt has half a character (a lone surrogate); take that out"
        if want.perturbation.count > page.perturbation.count:
            page.perturbation = want.perturbation
    return pages


def _fill(pages: Sequence[_Page], writer: Model, checker: Model) -> None:
    """Ask for what is missing of these, all together, until nothing is or the rounds are over."""
    most = max(page.perturbation.count for page in pages)
    for turn in range(ROUNDS + most // writing.AT_ONCE):
        open_pages = [page for page in pages if page.missing > 0 and is_unicode(page.prompt)]
        if not open_pages:
            return
        asks = [Ask(_request(page), turn) for page in open_pages]
        answers = zip(open_pages, writer.ask(asks), strict=True)
        found = [(page, text) for page, answer in answers for text in page.fresh(answer)]
        if found:
            _check(found, writer, checker)


def _request(page: _Page) -> Prompt:
    known = [r.text for r in (*page.kept, *page.new)]
    return writing.request(page.perturbation, page.prompt, known, page.missing)


def _check(found: Sequence[tuple[_Page, str]], writer: Model, checker: Model) -> None:
    """Look at the meaning of each text, and put it on its page."""
    asks = [Ask(writing.question(p.perturbation, p.prompt, text)) for p, text in found]
    today = date.today().isoformat()
    for (page, text), answer in zip(found, checker.ask(asks), strict=True):
        cut = answer.finish_reason == "length"
        same, reason = writing.verdict("" if cut else clean(answer.text))
        if not same:
            page.reason = f"the checker found another meaning: {line(reason)}"
        page.new.append(
            Rewrite(
                prompt=page.prompt,
                perturbation=page.perturbation.name,
                text=text,
                model=_name(writer),
                date=today,
                check=Check(_name(checker), same, line(reason, 400)),
            )
        )


def _name(model: Model) -> str:
    """The model without its parameters: an address is nobody's business in a file for review."""
    return model.spec.partition("?")[0]


def _short(page: _Page) -> Iterator[Short]:
    lines = page.lines
    offered, wanted = sum(r.offered for r in lines), page.perturbation.count
    if page.missing > 0:
        yield Short(page.prompt, page.perturbation.name, offered, wanted, page.reason)
