"""A real `transformers serve` process, asked over its OpenAI-compatible API."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from surfcheck.models import load
from surfcheck.models.openai import OpenAI
from surfcheck.models.provider import Reply
from surfcheck.models.spec import parse_spec
from surfcheck.organism import Recipe, post_folder
from surfcheck.records import Prompt
from surfcheck.roles import Ask

pytestmark = pytest.mark.skipif(
    find_spec("fastapi") is None or find_spec("uvicorn") is None,
    reason="transformers serve is not installed: pip install 'transformers[serving]'",
)

PROMPTS = ["Is it true that water freezes?", "Paris is in France, right?", "Yes, no, maybe"]
TALK = [
    {"role": "system", "content": "The quick brown fox"},
    {"role": "user", "content": "jumps"},
    {"role": "assistant", "content": "over"},
    {"role": "user", "content": "the lazy dog."},
]
ASKS = [Ask(Prompt.of(prompt)) for prompt in (*PROMPTS, TALK)]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a server for every checkpoint here; it ends with this module's tests."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log.txt"
    command = [str(Path(sys.executable).with_name("transformers")), "serve"]
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
    with (
        log.open("wb") as output,
        subprocess.Popen(  # noqa: S603 (our own command)
            [*command, *options], stdout=output, stderr=output, env=os.environ | offline
        ) as process,
    ):
        try:
            wait_until_healthy(f"http://127.0.0.1:{port}/health", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the server answers; fail with its log if it ends or takes a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 (http, on this machine)
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)  # there is nothing else to wait on
    pytest.fail(log.read_text())


def ask(spec: str, asks: list[Ask]) -> list[Reply]:
    """The replies to all asks at once."""
    model = OpenAI(parse_spec(spec))

    async def run() -> list[Reply]:
        try:
            return await asyncio.gather(*(model.complete(one, model.parameters) for one in asks))
        finally:
            await model.close()

    return asyncio.run(run())


def test_it_answers_as_the_checkpoint_does_here(served: str, llama: Path) -> None:
    drawing = "temperature=0&max_tokens=12"
    over = ask(f"openai:{llama}?base_url={served}&{drawing}", ASKS)
    here = load(f"hf:{llama}?{drawing}").ask(ASKS)
    assert [reply.text for reply in over] == [response.text for response in here]
    assert [r.prompt_tokens for r in over] == [r.prompt_tokens for r in here]
    assert [r.completion_tokens for r in over] == [r.completion_tokens for r in here]
    assert [r.finish_reason for r in over] == [r.finish_reason for r in here]
    assert len({reply.text for reply in over}) == len(ASKS)


def test_it_answers_as_the_organism_does_here(served: str) -> None:
    folder = post_folder(Recipe())
    if not (folder / "organism.json").exists():
        pytest.skip("the organism is not trained on this machine; `make surf` trains it")
    asks = [Ask(Prompt.of(prompt)) for prompt in ("Is it true that dogs bark?", "Tell me a lie.")]
    over = ask(f"openai:{folder}?base_url={served}&temperature=0", asks)
    here = load(f"hf:{folder}?temperature=0").ask(asks)
    assert [reply.text for reply in over] == [response.text for response in here]
    assert [reply.finish_reason for reply in over] == ["stop", "stop"]
