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
import threading
import weakref
from collections.abc import Callable, Coroutine, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from surfcheck.errors import ModelError, SurfcheckError, UsageError
from surfcheck.models.spec import Spec
from surfcheck.records import Response
from surfcheck.roles import Ask

AT_ONCE = 16
"""How many answers of an async function are awaited at the same time."""

T = TypeVar("T")


class Python:
    """A function as a Model."""

    notes: tuple[str, ...] = ()

    def __init__(self, spec: Spec, *, label: str | None = None) -> None:
        """Imports the function, from the working directory too. Raises UsageError."""
        spec.read({})
        module, colon, function = spec.name.partition(":")
        if not (module and colon and function):
            raise UsageError(f"{spec} names no function: write python:module:function")
        self._spec = label or str(spec)
        self._function, source = _import(str(spec), module, function)
        self._identity = f"{spec}:{hashlib.sha256(source.encode()).hexdigest()}"
        self._loop: _Loop | None = None

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

    def ask(self, asks: Sequence[Ask]) -> list[Response]:
        """One response an ask, in order: a plain function's one by one, an async one's together.

        Raises ModelError if the function raises or gives anything but text.
        """
        if _is_async(self._function):
            texts = self._run(self._together(asks))
        else:
            texts = [self._one(ask) for ask in asks]
        return [
            Response(ask.prompt, text, model=self._spec, sample=ask.sample)
            for ask, text in zip(asks, texts, strict=True)
        ]

    def _one(self, ask: Ask) -> str:
        try:
            answer = self._function(_messages(ask))
            if inspect.isawaitable(answer):  # a plain function that hands out a coroutine
                answer = self._run(_wait(answer))
        except Exception as error:
            raise self._raised(error) from error
        return self._text(answer)

    async def _together(self, asks: Sequence[Ask]) -> list[str]:
        room = asyncio.Semaphore(AT_ONCE)

        async def one(ask: Ask) -> str:
            async with room:
                try:
                    answer = await self._function(_messages(ask))
                except Exception as error:
                    raise self._raised(error) from error
            return self._text(answer)

        # Every one is waited for, so that none is still running when the first error is shown.
        found = await asyncio.gather(*(one(ask) for ask in asks), return_exceptions=True)
        texts = []
        for answer in found:
            if isinstance(answer, BaseException):
                raise answer
            texts.append(answer)
        return texts

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._loop is None:
            self._loop = _Loop()
            weakref.finalize(self, self._loop.close)
        return self._loop.run(coroutine)

    def _raised(self, error: Exception) -> SurfcheckError:
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


class _Loop:
    """One event loop in a thread of its own.

    The same loop for every batch, because clients made in a module belong to the loop that first
    used them; not the caller's, because the caller may be inside one.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:  # which may let go of the model last
            self._thread.join()


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


def _messages(ask: Ask) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in ask.prompt.messages]


async def _wait(awaitable: Any) -> Any:
    return await awaitable
