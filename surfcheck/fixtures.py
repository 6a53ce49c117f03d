"""What a test body holds in its hands: `target` and `judge`.

Knows nothing of pytest, and nothing of where answers come from: a model is any `roles.Model`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from surfcheck.errors import UsageError
from surfcheck.judge.panel import Panel
from surfcheck.judge.rubric import Rubric
from surfcheck.records import Message, Prompt, Response, Usage, Verdict
from surfcheck.roles import Ask, Judge, Model

Heard = Callable[[Response], None]
"""Told of an answer."""


def _nobody(response: Response) -> None:
    """A Heard that does nothing."""


class Target:
    """The model under test as a test body sees it: the fixture `target`."""

    def __init__(
        self,
        model: Model,
        *,
        answers: dict[Ask, Response] | None = None,
        system: str | None = None,
        heard: Heard = _nobody,
    ) -> None:
        self.usage = Usage()
        """What this item's answers cost."""
        self.last: Response | None = None
        """The answer that the body asked for last."""
        self.compares = False
        """Whether the body looks at the unchanged prompt's answer."""
        self.asked: set[Ask] = set()
        """Everything the body asked for."""
        self._seed: Prompt | None = None
        self._sample = 0
        self._model, self._system, self._heard = model, system, heard
        self._answers = {} if answers is None else answers
        self._expected: tuple[Ask, ...] = ()

    def __call__(self, prompt: str | Prompt | Sequence[Mapping[str, str]]) -> Response:
        """The model's answer. Raises ModelError if it can't be asked."""
        self.last = self._answer(Prompt.of(prompt))
        return self.last

    @property
    def unchanged(self) -> Response:
        """The answer to the prompt as written in the test, for `rules.same_answer`."""
        if self._seed is None:
            raise UsageError("target.unchanged: there is one only inside a test with @invariant")
        self.compares = True
        return self._answer(self._seed)

    def begin(self, seed: Prompt, sample: int) -> None:
        """What `unchanged` answers to, and the sample number in force, from here on."""
        self._seed, self._sample, self.last = seed, sample, None

    def expect(self, prompts: Iterable[Prompt], samples: range) -> None:
        """What will be asked: the first of these to be asked brings all of them in one batch."""
        self._expected = asks(prompts, samples, self._system)

    @contextmanager
    def answered_by(self, model: Model, answers: dict[Ask, Response]) -> Iterator[None]:
        """The body asks another model here: a baseline."""
        before = self._model, self._answers
        self._model, self._answers = model, answers
        try:
            yield
        finally:
            self._model, self._answers = before

    def _answer(self, prompt: Prompt) -> Response:
        ask = Ask(framed(prompt, self._system), self._sample)
        self.asked.add(ask)
        if ask not in self._answers:
            batch = self._expected if ask in self._expected else (ask,)
            new = [a for a in dict.fromkeys(batch) if a not in self._answers]
            for asked, response in zip(new, self._model.ask(new), strict=True):
                self._answers[asked] = response
                self.usage += _cost(response)
                self._heard(response)
        return self._answers[ask]


class Judging:
    """Judges as a test body sees them: the fixture `judge`."""

    def __init__(
        self,
        panel: Panel | None = None,
        *,
        criterion: str = "",
        learned: Callable[[Rubric], None] | None = None,
        judged: Callable[[Rubric], None] | None = None,
    ) -> None:
        """`criterion` is what is judged where the body names none: the test's docstring.

        A rubric is `learned` before the judges are asked by it, and `judged` once they answered.
        """
        self._panel, self._criterion = panel, criterion
        self._learned, self._judged = learned, judged
        self.used = False
        """Whether the body has asked for a verdict."""
        self.begin()

    def begin(self) -> None:
        """Forget the last word."""
        self.response: Response | None = None
        """The answer that was judged last."""
        self.verdict: Verdict | None = None
        """What was said of it."""

    def __call__(
        self, response: Response, criterion: Judge | Rubric | str | None = None
    ) -> Verdict:
        """What a rule, a rubric or a criterion in words says of the response.

        Without a criterion the test's docstring is it. Raises UsageError for words without a
        judge model, ModelError if no judge can be asked.
        """
        self.used = True
        said = self._criterion if criterion is None else criterion
        if isinstance(said, str):
            if not said.strip():
                raise UsageError("the criterion is empty: write a docstring, or give one in words")
            said = Rubric.of(said)
        given: object = response
        if not isinstance(given, Response):
            kind = type(given).__name__
            raise UsageError(f"judge was given a {kind}: give it what target(prompt) returns")
        self.response = response
        verdict: object = (
            self._in_words(response, said) if isinstance(said, Rubric) else said(response)
        )
        if not isinstance(verdict, Verdict):
            raise UsageError("the criterion gives no verdict: call the rule, rules.says_yes()")
        self.verdict = verdict
        return verdict

    def _in_words(self, response: Response, rubric: Rubric) -> Verdict:
        if self._panel is None:
            raise UsageError(
                "a criterion in words needs a judge model: give --surf-judge SPEC, or a rule from "
                "surfcheck.judge, such as rules.refuses()"
            )
        if self._learned is not None:
            self._learned(rubric)
        verdict = self._panel.judge(response, rubric)
        if self._judged is not None:
            self._judged(rubric)
        return verdict

    @property
    def missing(self) -> dict[str, str]:
        """Judge models that could not be asked while others could, and why."""
        return {} if self._panel is None else self._panel.missing

    @property
    def agreement(self) -> dict[str, Any] | None:
        """How far the judges agreed so far, as JSON; None without any."""
        return None if self._panel is None else self._panel.agreement.to_json()


def framed(prompt: Prompt, system: str | None) -> Prompt:
    """The conversation under a system prompt, unless it brings its own."""
    if system is None or prompt.messages[0].role == "system":
        return prompt
    return Prompt((Message("system", system), *prompt.messages))


def asks(prompts: Iterable[Prompt], samples: range, system: str | None) -> tuple[Ask, ...]:
    """Every sample of every prompt, the first samples first."""
    conversations = [framed(prompt, system) for prompt in prompts]
    return tuple(Ask(prompt, sample) for sample in samples for prompt in conversations)


def _cost(response: Response) -> Usage:
    if response.remembered:
        return Usage(remembered=1)
    return Usage(calls=1, tokens=response.tokens, usd=response.usd)
