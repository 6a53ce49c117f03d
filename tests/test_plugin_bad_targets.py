"""What is wrong with a target, a judge or a file is one line that says what to do: no finding, no
traceback.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import h11  # noqa: F401
import httpcore2  # noqa: F401 (a run in this process drops what it was first to import)
import pytest

import surfcheck.models.anthropic
import surfcheck.models.google
import surfcheck.models.openai
import surfcheck.models.xai  # noqa: F401
from surfcheck.models.limits import Backoff

PROVIDERS = ("openai", "anthropic", "google", "xai")
KEYS = dict(zip(PROVIDERS, ("OPENAI", "ANTHROPIC", "GEMINI", "XAI"), strict=True))
KEY = "sk-SECRET4q7Zk0-do-not-show"
LONG = "so very long"
Say = tuple[int, str]
"""A status and a body."""

FUTURE = "from __future__ import annotations\n"
SUITE = f"""{FUTURE}

import pytest
from changes import agrees, title

from surfcheck import invariant


@invariant(title)
@pytest.mark.parametrize("prompt", ["Is it so?", "Is it {LONG}?", "Is it hot?"])
def test_it(prompt, target, judge):
    '''The reply says yes.'''
    assert judge(target(prompt)CRITERION)
"""


class Handler(BaseHTTPRequestHandler):
    """Says what the server was given to say."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""

    def do_POST(self) -> None:
        question = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.asked += 1
        status, body = self.server.say(question)
        content = body.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class Server(ThreadingHTTPServer):
    """One thread a connection."""

    daemon_threads = True

    def __init__(self, say: Callable[[str], Say]) -> None:
        self.say, self.asked = say, 0
        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str], Say]], Server]]:
    """Starts an HTTP server that answers by a function of the request."""
    servers: list[Server] = []

    def serve(say: Callable[[str], Say]) -> Server:
        servers.append(Server(say))
        threading.Thread(target=servers[-1].serve_forever, args=(0.005,), daemon=True).start()
        return servers[-1]

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, and nothing else that an SDK reads; short pauses between attempts."""
    for name in ("GOOGLE_API_KEY", "ANTHROPIC_AUTH_TOKEN", "XAI_MANAGEMENT_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OPENAI", "ANTHROPIC", "GOOGLE_GEMINI"):
        monkeypatch.delenv(f"{name}_BASE_URL", raising=False)
    for name in KEYS.values():
        monkeypatch.setenv(f"{name}_API_KEY", KEY)
    monkeypatch.setitem(Backoff.__init__.__kwdefaults__, "first", 0.002)


@pytest.fixture
def suite(folder: pytest.Pytester) -> pytest.Pytester:
    """Three items that are judged by a rule."""
    folder.makepyfile(test_it=SUITE.replace("CRITERION", ", agrees"))
    return folder


@pytest.fixture
def in_words(folder: pytest.Pytester) -> pytest.Pytester:
    """Three items that are judged by a model."""
    folder.makepyfile(test_it=SUITE.replace("CRITERION", ""))
    return folder


def told(result: pytest.RunResult, *, errors: int = 3, passed: int = 0) -> str:
    """What is said of each item that is an error: one line, the same of all."""
    result.assert_outcomes(errors=errors, passed=passed)
    shown = result.stdout.str()
    assert "Traceback" not in shown + result.stderr.str()
    assert not re.search(r"surfcheck/\S*\.py|site-packages|object at 0x", shown)
    assert KEY not in shown
    section = shown.partition("= ERRORS =")[2].partition("\n")[2]
    lines = re.split(r"\n=+ .* =+\n", section)[0].splitlines()
    lines = [line for line in lines if not line.startswith("[gw")]  # where it ran, under xdist
    assert len(lines) == 2 * errors, lines
    assert all(line.startswith("_") for line in lines[::2])
    (line,) = set(lines[1::2])
    return line


def at(provider: str, port: int) -> str:
    """The spec of a model on this machine."""
    address = f"127.0.0.1:{port}"
    query = f"api_host={address}&insecure=1" if provider == "xai" else f"base_url=http://{address}"
    return f"{provider}:modell?{query}"


@pytest.fixture
def closed() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_key(provider, suite, monkeypatch) -> None:
    variable = f"{KEYS[provider]}_API_KEY"
    monkeypatch.delenv(variable)
    line = told(suite.runpytest_inprocess("--surf", f"--surf-target={provider}:m"))
    assert re.fullmatch(rf"UsageError: {variable} is not set and \S+ wants a key: export .*", line)


NOT_FOUND = {"message": "The model modell was not found.", "type": "not_found_error"}


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google"])
def test_a_model_that_nobody_knows(provider, suite, serve) -> None:
    server = serve(lambda _: (404, json.dumps({"error": NOT_FOUND})))
    target = at(provider, server.server_port)
    line = told(suite.runpytest_inprocess("--surf", f"--surf-target={target}"))
    assert fnmatch(line, "UsageError: 127.0.0.1:* has no model 'modell': correct the name*")
    assert server.asked == 1


def test_a_model_that_xai_does_not_know(suite) -> None:
    method = grpc.unary_unary_rpc_method_handler(
        lambda _, context: context.abort(grpc.StatusCode.NOT_FOUND, NOT_FOUND["message"])
    )
    handler = grpc.method_handlers_generic_handler("xai_api.Chat", {"GetCompletion": method})
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handler,))
    target = at("xai", server.add_insecure_port("127.0.0.1:0"))
    server.start()
    try:
        line = told(suite.runpytest_inprocess("--surf", f"--surf-target={target}"))
    finally:
        server.stop(None).wait()
    assert fnmatch(line, "UsageError: 127.0.0.1:* has no model 'modell': correct the name*")


def test_a_key_that_is_not_taken(suite, serve) -> None:
    error = {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}
    server = serve(lambda _: (401, json.dumps({"error": error})))
    target = at("openai", server.server_port)
    line = told(suite.runpytest_inprocess("--surf", f"--surf-target={target}"))
    assert line.endswith(" does not take what is in OPENAI_API_KEY (401): set a valid key")
    assert server.asked == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_nobody_is_there(provider, suite, closed) -> None:
    line = told(suite.runpytest_inprocess("--surf", f"--surf-target={at(provider, closed)}"))
    assert line.startswith(f"Unanswered: {provider}:modell?")
    assert re.search(
        r"no answer in 6 attempts \(.*[Cc]onnect.*\); it has never answered and is not asked",
        line,
    )


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_web_page(provider, status, suite, serve) -> None:
    port = serve(lambda _: (status, "<html><body>Hi</body></html>")).server_port
    line = told(suite.runpytest_inprocess("--surf", f"--surf-target={at(provider, port)}"))
    assert "base_url" in line.partition(str(port))[2]
    assert "<" not in line


@pytest.mark.parametrize("estimate", [(), ("--surf-estimate",)])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--surf-target=nowhere:x"], "nowhere:x: no provider 'nowhere'; known are anthropic:, *"),
        (["--surf-target=gpt"], "'gpt' names no provider: write provider:name, such as hf:gpt"),
        (["--surf-target=openai:"], "'openai:' names no model: write openai:NAME"),
        (["--surf-judge=nowhere:x"], "nowhere:x: no provider 'nowhere'; known are anthropic:, *"),
        (["--surf-system=nowhere.txt"], "--surf-system nowhere.txt: No such file or directory; *"),
        (["--surf-max-calls=0"], "--surf-max-calls is '0': give a whole number, 1 or more"),
        (["--surf-max-calls=all"], "--surf-max-calls is 'all': give a whole number, 1 or more"),
    ],
)
def test_a_run_that_cannot_begin(arguments, says, estimate, suite) -> None:
    result = suite.runpytest_inprocess("--surf", *arguments, *estimate)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in result.stderr.lines if line)
    assert fnmatch(line, f"ERROR: {says}")
    result.stdout.no_fnmatch_line("*Error*")
    assert not (suite.path / ".surfcheck").exists()


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("openai:m?heat=1", "no parameter 'heat'; openai: takes temperature, *"),
        ("openai:m?timeout=soon", "timeout is 'soon': give a number, 0.001 or more"),
        ("openai:m?base_url=127.0.0.1:1", "base_url is no http or https URL: give an address *"),
        ("python:nobody:answer", "no module 'nobody' in *"),
        ("python:fake:reply", "fake has no 'reply'; correct the name"),
    ],
)
def test_a_spec_that_cannot_be_read(target, says, suite) -> None:
    line = told(suite.runpytest_inprocess("--surf", f"--surf-target={target}"))
    assert fnmatch(line, f"UsageError: *{says}")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise ValueError('no\\nway')", "raised ValueError: no; correct the function"),
        ("return None", "returned NoneType, not str; return the answer's text"),
        ("return b'Yes.'", "returned bytes, not str; return the answer's text"),
        ("threading.Event().wait(3)", "did not return within 0.2 s; correct the function, *"),
    ],
)
@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_function_that_gives_no_text(body, says, kind, suite) -> None:
    body = body if kind == "def" else body.replace("threading.Event().wait", "await asyncio.sleep")
    suite.makepyfile(fake=f"import asyncio, threading\n{kind} answer(messages):\n    {body}\n")
    target = "--surf-target=python:fake:answer?timeout=0.2"
    line = told(suite.runpytest_inprocess("--surf", target))
    assert fnmatch(line, f"ModelError: python:fake:answer[?]timeout=0.2 {says}")


def too_long(question: str) -> Say:
    """OpenAI's words."""
    if LONG.lower() not in question.lower():
        choice = {"message": {"content": "Yes."}, "finish_reason": "stop"}
        return 200, json.dumps({"choices": [choice]})
    message = "This model's maximum context length is 8 tokens. Please reduce the messages."
    error = {"message": message, "code": "context_length_exceeded", "param": "messages"}
    return 400, json.dumps({"error": error})


def test_a_prompt_that_is_too_long_for_the_model(suite, serve, run) -> None:
    target = f"--surf-target={at('openai', serve(too_long).server_port)}"
    line = told(run("--surf", target), errors=1, passed=2)
    assert line.startswith("ModelError: prompt is longer than the model takes: shorten it (modell")


def test_no_key_in_two_processes(suite, monkeypatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    line = told(suite.runpytest_inprocess("--surf", "--surf-target=openai:m", "-n2"))
    assert line.startswith("UsageError: OPENAI_API_KEY is not set")


RUBRIC = "name: agrees\ndescription: The reply says yes.\nexamples: often\n"


def test_a_rubric_with_a_bad_line(folder) -> None:
    (folder.path / "yes.yaml").write_text(RUBRIC)
    inside = SUITE.replace("CRITERION", ", surfcheck.judge.rubric('yes.yaml')")
    folder.makepyfile(test_it=f"{inside}\nimport surfcheck\n")
    judge = "--surf-judge=python:fake:answer"
    line = told(folder.runpytest_inprocess("--surf", judge))
    says = "DataError: *yes.yaml:3: examples is no list; begin each with - prompt:"
    assert fnmatch(line, says)
    at_import = "import surfcheck\nYES = surfcheck.judge.rubric('yes.yaml')\n"
    folder.makepyfile(test_it=at_import + SUITE.replace("CRITERION", ", YES").replace(FUTURE, ""))
    result = folder.runpytest_inprocess("--surf", judge)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ERROR collecting test_it.py*", says])
    result.stdout.no_fnmatch_line("*Traceback*")


ROW = {
    "prompt": "Is it so?",
    "perturbation": "rewrite",
    "text": "Is that so?",
    "model": "by hand",
    "date": "2026-11-20",
    "check": None,
}


def test_a_frozen_file_with_a_bad_line(folder) -> None:
    rewrites = SUITE.replace("import invariant", "import invariant, perturb")
    rewrites = rewrites.replace("(title)", "(title, perturb.rewrite(2))")
    folder.makepyfile(test_it=rewrites.replace("CRITERION", ", agrees"))
    path = folder.path / "frozen" / "test_it.jsonl"
    path.parent.mkdir()
    path.write_text(f"{json.dumps(ROW)}\n{json.dumps(ROW | {'date': 'today'})}\n")
    line = told(folder.runpytest_inprocess("--surf"), errors=3, passed=3)
    assert line == f"DataError: {path}:2: its date is 'today'; write a day such as 2026-11-20"


def test_a_judge_that_cannot_be_reached(in_words, closed) -> None:
    line = told(in_words.runpytest_inprocess("--surf", f"--surf-judge={at('openai', closed)}"))
    assert re.fullmatch(
        r"Unanswered: openai:\S+: no answer in 6 attempts .*; it has never answered and .*",
        line,
    )


@pytest.mark.parametrize(
    "said", ["", "Hm.", "<score>100", "<score>1000</score>", "<score>undecided</score>"]
)
def test_a_judge_whose_answers_say_nothing(said, in_words, latest) -> None:
    in_words.makepyfile(odd=f"def judge(messages): return {said!r}")
    result = in_words.runpytest_inprocess("--surf", "--surf-judge=python:odd:judge")
    result.assert_outcomes(skipped=3)
    assert [i["outcome"] for i in latest()["invariants"]] == ["inconclusive"]
    assert latest()["invariants"][0]["violated"] == 0
    result.stdout.fnmatch_lines(["SKIPPED*: inconclusive: * cases could not be judged (*)"])


def test_an_estimate_of_a_frozen_file_with_a_bad_line(folder) -> None:
    rewrites = SUITE.replace("title\n", "title\nfrom surfcheck import perturb\n", 1)
    rewrites = rewrites.replace("(title)", "(perturb.rewrite(2))").replace("CRITERION", "")
    folder.makepyfile(test_it=rewrites)
    (folder.path / "frozen").mkdir()
    (folder.path / "frozen" / "test_it.jsonl").write_text("{}\n")
    result = folder.runpytest_inprocess("--surf", "--surf-estimate")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in result.stderr.lines if line)
    assert fnmatch(line, "ERROR: */frozen/test_it.jsonl:1: is not *")
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_a_perturbation_that_breaks_is_the_mistake_of_its_own_item(folder) -> None:
    broken = "broken = Change('broken', lambda text: text.upper() if 'hot' not in text else 1 / 0)"
    broken = f"from changes import Change\n\n{broken}\n\n@invariant(broken)"
    folder.makepyfile(
        test_it=SUITE.replace("@invariant(title)", broken).replace("CRITERION", "") + "\n"
    )
    judge = "--surf-judge=python:odd:judge"
    folder.makepyfile(odd="def judge(messages): return '<score>0</score>'")
    result = folder.runpytest_inprocess("--surf", judge)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines("FAILED *is-it-hot-*ZeroDivisionError*")
    result.stdout.no_fnmatch_line("During handling of the above exception*")
