"""The models of one run: target, baseline, judges, with the memory, the engine and the budget that
they share. Nothing is loaded, asked or written before the first question.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from surfcheck.errors import SurfcheckError, UsageError
from surfcheck.fixtures import Heard
from surfcheck.judge.calibrate import judge_key, known
from surfcheck.judge.panel import Panel
from surfcheck.judge.rubric import Rubric
from surfcheck.records import Response, Usage
from surfcheck.roles import Ask, Progress
from surfcheck.settings import Settings

if TYPE_CHECKING:
    from surfcheck.models import Engine, LoadedModel, Memory

Working = Callable[[], AbstractContextManager[Progress]]
"""Shows progress while its context is open."""


class Place(NamedTuple):
    """What a spec comes to."""

    model: str
    """A spec that `models.load` knows."""
    base: str | None = None
    """Checkpoint before post-training, where known."""
    data: str | None = None
    """Post-training data, where known."""


class Share(NamedTuple):
    """This process's part in a run."""

    run: str = ""
    """Equal in all processes of a run; one is made up if empty."""
    processes: int = 1
    """How many share the concurrency."""


class Asking:
    """Every model of a run, loaded by its first question."""

    def __init__(
        self, settings: Settings, *, home: Callable[[], Path], working: Working, share: Share
    ) -> None:
        self.notices: list[str] = []
        """What a person should know of the models, a line each."""
        self.target = _Unloaded(settings.target, self.load)
        """The model under test."""
        self.baseline = _Unloaded(settings.baseline or "", self.load)
        """What it is compared with."""
        self.calibrated = True
        """Whether the judges are known for every rubric that was used."""
        self._settings, self._home, self._working = settings, home, working
        self._run, self._processes = share.run or uuid.uuid4().hex, share.processes
        self._open = ExitStack()
        self._closed = False
        self._looked_up: set[str] = set()

    def close(self) -> None:
        """Cancel what nobody waits for and let go of the memory; nothing is asked after this."""
        self._closed = True
        self._open.close()

    @property
    def usage(self) -> Usage:
        """What this process has spent so far."""
        return self.engine.usage if "engine" in vars(self) else Usage()

    @cached_property
    def system(self) -> str | None:
        """The system prompt that every conversation begins with. Raises UsageError."""
        file = self._settings.system
        if file is None:
            return None
        try:
            text = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
            raise UsageError(f"--surf-system {file}: {reason}; give a text file") from None
        if not text:
            raise UsageError(f"--surf-system {file}: is empty; write the prompt or leave it out")
        return text

    @property
    def judged(self) -> bool:
        """Whether the run has judge models."""
        return self._settings.judge is not None

    @cached_property
    def judges(self) -> list[_Unloaded]:
        """The judge models."""
        specs = [spec.strip() for spec in (self._settings.judge or "").split(",")]
        return [_Unloaded(spec, self.load) for spec in specs if spec]

    @cached_property
    def panel(self) -> Panel:
        """The judges together."""
        return self.new_panel()

    def new_panel(self) -> Panel:
        """The same judges, who count for themselves how far they agree."""
        return Panel(self.judges, seed=self._settings.seed)

    def note(self, *notices: str) -> None:
        """Add these, each once."""
        for notice in notices:
            if notice not in self.notices:
                self.notices.append(notice)

    def take_notes(self) -> None:
        """What there is to say by now of the models that were asked."""
        asked = (self.target, self.baseline, *(self.judges if self.judged else ()))
        for model in asked:
            self.note(*model.notes)

    def check_calibrated(self, rubric: Rubric) -> None:
        """Say so, once, if the judges were never held against a person's labels."""
        spec = self.panel.spec
        keys = (judge_key(spec, rubric), judge_key(spec))
        if not self.calibrated or keys[0] in self._looked_up:
            return
        never = all(known(self._home(), key) is None for key in keys)
        self._looked_up.add(keys[0])  # the file is read once a rubric, not once an answer
        if never:
            self.calibrated = False
            self.note(
                f"The judge {spec} was never calibrated against a person's labels: surfcheck judge "
                f"calibrate --labels FILE --rubric FILE --judge {spec}"
            )

    @cached_property
    def memory(self) -> Memory | None:
        """Every answer; None where nothing is to be remembered."""
        from surfcheck.models import Memory  # noqa: PLC0415 (heavy)

        mode = self._settings.memory
        if mode == "off":
            return None
        return self._open.enter_context(Memory(self._home() / "memory.sqlite", mode))

    @cached_property
    def engine(self) -> Engine:
        """Does all waiting, within the budget."""
        from surfcheck.models import Budget, Engine, Memory  # noqa: PLC0415 (heavy)

        s, shared = self._settings, self.memory
        if (
            shared is None and s.limited and self._processes > 1
        ):  # they share one budget all the same
            shared = self._open.enter_context(Memory(self._home() / "budget.sqlite", "auto"))
        budget = Budget(
            calls=s.max_calls, tokens=s.max_tokens, usd=s.max_usd, memory=shared, run=self._run
        )
        ceiling = max(1, s.concurrency // self._processes)
        return self._open.enter_context(Engine(ceiling=ceiling, budget=budget))

    @cached_property
    def place(self) -> Place:
        """Where the target, its base and its data lie; the organism is trained if need be."""
        place = self._resolve(self._settings.target)
        return Place(
            place.model, self._settings.base or place.base, self._settings.data or place.data
        )

    def _resolve(self, spec: str) -> Place:
        if not spec.startswith("organism:"):
            return Place(spec)
        from surfcheck.organism import resolve  # noqa: PLC0415 (torch: 2 s)

        with self._working() as progress:
            organism = resolve(spec, progress=progress)
        return Place(organism.model, organism.base, organism.data)

    def load(self, spec: str) -> LoadedModel:
        """A model by its spec, with the run's memory and engine."""
        from surfcheck.models import load  # noqa: PLC0415 (heavy)

        if self._closed:
            raise UsageError(f"{spec}: the run is over, nothing is asked any more")
        place = self.place if spec == self._settings.target else self._resolve(spec)
        return load(place.model, memory=self.memory, engine=self.engine, label=spec)


class _Unloaded:
    """A model, loaded by the first question. What went wrong then goes wrong at once after."""

    def __init__(self, spec: str, load: Callable[[str], LoadedModel]) -> None:
        self.spec = spec
        self._load = load
        self._loaded: LoadedModel | SurfcheckError | None = None

    def ask(self, asks: Sequence[Ask]) -> list[Response]:
        return self._model().ask(asks)

    def expect(self, asks: Sequence[Ask], then: Heard | None = None) -> None:
        """Begin to answer these; what goes wrong is for `ask` to say."""
        try:
            self._model().expect(asks, then)
        except SurfcheckError:
            return

    @property
    def notes(self) -> tuple[str, ...]:
        """The model's; none before it is loaded."""
        if self._loaded is None or isinstance(self._loaded, SurfcheckError):
            return ()
        return self._loaded.notes

    def known(self, asks: Sequence[Ask]) -> int:
        """How many of these memory can answer."""
        return self._model().known(asks)

    def _model(self) -> LoadedModel:
        if self._loaded is None:
            try:
                self._loaded = self._load(self.spec)
            except SurfcheckError as error:
                self._loaded = error
        if isinstance(self._loaded, SurfcheckError):
            raise self._loaded
        return self._loaded
