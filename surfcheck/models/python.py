"""`python:module:function`: a function of `list[{role, content}]` to `str`, plain or async.

What it calls, and how it waits and retries, is the function's own business.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from surfcheck.errors import ModelError, SurfcheckError, UsageError
from surfcheck.models.provider import Parameters, Reply
from surfcheck.models.spec import Reader, Spec, number
from surfcheck.models.threads import Threads
from surfcheck.roles import Ask

_PARAMETERS: dict[str, Reader] = {
    "timeout": number(0.001),
    "usd_in": number(0),
    "usd_out": number(0),
}


class Python:
    """A function as a Provider."""

    notes: tuple[str, ...] = ()
    """Nothing: what it was called with is what it was asked."""

    def __init__(self, spec: Spec, *, label: str | None = None, threads: int = 64) -> None:
        """Imports the function, from the working directory too. Raises UsageError.

        A plain function is called in as many `threads` at most.
        """
        spec.read(_PARAMETERS)
        module, colon, function = spec.name.partition(":")
        if not (module and colon and function):
            raise UsageError(f"{spec} names no function: write python:module:function")
        self._spec = label or str(spec)
        self._lane = f"{spec.provider}:{spec.name}"
        self._function, source = _import(str(spec), module, function)
        self._identity = f"{self._lane}:{hashlib.sha256(source.encode()).hexdigest()}"
        self._threads = Threads(threads)

    @property
    def spec(self) -> str:
        """How it was named."""
        return self._spec

    @property
    def identity(self) -> str:
        """The function's name and a hash of its module's source.

        What the module imports or asks over the network is not seen; memory=record asks again.
        """
        return self._identity

    @property
    def lane(self) -> str:
        """The function's own."""
        return self._lane

    @property
    def parameters(self) -> Parameters:
        """None: a function decides for itself."""
        return {}

    async def complete(self, ask: Ask, parameters: Parameters) -> Reply:
        """What the function returns; an async one is awaited here, a plain one has a thread.

        Raises ModelError if it raises or gives anything but text.
        """
        messages = [{"role": m.role, "content": m.content} for m in ask.prompt.messages]
        try:
            if _is_async(self._function):
                answer = await self._function(messages)
            else:
                answer = await self._in_thread(messages)
                if inspect.isawaitable(answer):  # a plain function that hands out a coroutine
                    answer = await answer
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # pytest.fail and sys.exit, too, are no behaviour
            raise self._raised(error) from error
        return Reply(self._text(answer))

    async def close(self) -> None:
        """Let the threads end."""
        self._threads.close(wait=0.5)

    async def _in_thread(self, messages: list[dict[str, str]]) -> Any:
        if self._threads.lost >= self._threads.most:
            raise ModelError(
                f"{self._spec}: {self._threads.most} calls of it never returned, which is as many "
                "as there may be at once; correct the function"
            )

        def call() -> Any:
            try:
                return self._function(messages)
            except BaseException as error:
                # Here, because a StopIteration can't be handed from thread to loop.
                raise self._raised(error) from error

        return await self._threads.submit(call)

    def _raised(self, error: BaseException) -> SurfcheckError:
        if isinstance(error, SurfcheckError):
            return error
        reason = str(error).partition("\n")[0]
        return ModelError(
            f"{self._spec} raised {type(error).__name__}: {reason or 'no message'}; "
            "correct the function"
        )

    def _text(self, answer: object) -> str:
        if not isinstance(answer, str):
            raise ModelError(
                f"{self._spec} returned {type(answer).__name__}, not str; return the answer's text"
            )
        try:
            answer.encode()
        except UnicodeEncodeError:
            raise ModelError(
                f"{self._spec} returned text that is not Unicode (a lone surrogate); "
                "decode with errors='replace'"
            ) from None
        return str(answer)


def _import(spec: str, module: str, function: str) -> tuple[Callable[..., Any], str]:
    """The function and the source that decides what it does."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        home = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{spec}: no module {error.name!r} in {here} or among what is installed"
        ) from None
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(
            f"{spec}: importing {module} raises {type(error).__name__}: {reason}; correct it"
        ) from error
    try:
        found = attrgetter(function)(home)
    except AttributeError:
        raise UsageError(f"{spec}: {module} has no {function!r}; correct the name") from None
    if not callable(found):
        raise UsageError(f"{spec}: {function} is a {type(found).__name__}; give a function")
    return found, _source(home) + _source(inspect.unwrap(found))


def _source(thing: Any) -> str:
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):  # built in, compiled, or an instance: its module has to do
        return ""


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        type(function).__call__
    )
