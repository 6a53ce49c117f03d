from __future__ import annotations

from collections.abc import Callable

import pytest

from surfcheck.records import Prompt, Response

Say = Callable[..., Response]


@pytest.fixture
def say() -> Say:
    """An answer as a model gives it: `say(text, prompt=…, cut=…)`."""

    def answer(text: str, prompt: str = "Please answer.", *, cut: bool = False) -> Response:
        return Response(Prompt.of(prompt), text, finish_reason="length" if cut else "stop")

    return answer
