"""Whole runs against each provider's SDK and a server that fails in every way servers do.

An infrastructure error is never a finding: whatever goes wrong says "No." (or a high degree of
violation), so that anything taken for an answer would break a behaviour.
"""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import grpc
import h11  # noqa: F401
import httpcore2  # noqa: F401 (a run in this process drops what it was first to import)
import openai.resources.chat  # noqa: F401
import pytest
from xai_sdk.proto import chat_pb2, sample_pb2

import surfcheck.models.anthropic
import surfcheck.models.google
import surfcheck.models.openai
import surfcheck.models.xai  # noqa: F401
from surfcheck.models.limits import Backoff

MARK = "SECRET4q7Zk0"
KEYS = {
    "OPENAI_API_KEY": f"sk-{MARK}-0123456789abcdef",
    "ANTHROPIC_API_KEY": f"{MARK}.of.no.shape.that.is.known",
    "GEMINI_API_KEY": f"AIza{MARK}_0123456789",
    "XAI_API_KEY": f"xai-{MARK}",
}
PROVIDERS = ("openai", "anthropic", "google", "xai")
Code = grpc.StatusCode

# A number is a status, `after` what Retry-After says; `half` of the JSON, a web `page`.
PASSING = ("429", "429 after 0", "500", "503", "hang up", "cut", "half", "page") * 2
PASSING += ("slow", "slow", "429 after 1")
LASTING = ("400", "500 after 0", "garbage")
QUESTIONS = [q for n in range(20) for q in (f"Is {n} a number?", f"IS {n} A NUMBER?")]
TARGET_SAYS = ("Yes.", "No.")
JUDGE_SAYS = tuple(f"<reasoning>So.</reasoning><score>{n}</score>" for n in (5, 99))

SUITE = """
from __future__ import annotations

import pytest
from changes import agrees, shout

from surfcheck import invariant


@invariant(shout)
@pytest.mark.parametrize("prompt", [f"Is {n} a number?" for n in range(20)])
def test_numbers(prompt, target, judge):
    '''The reply says whether it is one.'''
    assert judge(target(prompt)JUDGED_BY)
"""


@dataclass
class Plan:
    """What a server does with each question: some faults, then the answer; or one fault forever."""

    said: tuple[str, str] = TARGET_SAYS
    """The answer, and what stands in everything that is none."""
    passing: dict[str, list[str]] = field(default_factory=dict)
    lasting: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    answered: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)
    """What came along as a key."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set when the test is: nobody waits any longer."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(
        cls, seed: str, *, said: tuple[str, str] = TARGET_SAYS, faults: tuple[str, ...] = PASSING
    ) -> Plan:
        """Three items meet a fault that lasts; the others among the first meet some that pass.

        So that what else those three ask is asked ahead, and answered before the end.
        """
        random = Random(seed)
        faulty = random.sample(range(2, 16), len(LASTING))
        lasting = {
            QUESTIONS[2 * n + random.randrange(2)]: fault
            for n, fault in zip(faulty, LASTING, strict=True)
        }
        others = [n for n in range(16) if n not in faulty]
        passing: dict[str, list[str]] = {}
        for fault in faults:
            question = QUESTIONS[2 * random.choice(others) + random.randrange(2)]
            passing.setdefault(question, []).append(fault)
        return cls(said, passing, lasting)

    def heal(self) -> None:
        """From now on everything is answered, and counted anew."""
        self.passing, self.lasting = {}, {}
        self.asked.clear()

    def take(self, text: str, key: str) -> str:
        """The fault that the next attempt meets; empty for the answer."""
        question = next(question for question in QUESTIONS if question in text)
        with self.lock:
            self.keys.add(key)
            self.asked[question] += 1
            left = self.passing.get(question)
            fault = self.lasting.get(question) or (left.pop() if left else "")
            if not fault:
                self.answered.add(question)
            return fault


Serve = Callable[[str, Plan], str]
Latest = Callable[[], dict[str, Any]]


def body(provider: str, text: str) -> dict[str, Any]:
    """An answer as the provider words it."""
    message = {"role": "assistant", "content": text}
    return {
        "openai": {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]},
        "anthropic": {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"},
        "google": {
            "candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]
        },
    }[provider]


class Handler(BaseHTTPRequestHandler):
    """OpenAI's, Anthropic's and Google's HTTP."""

    protocol_version = "HTTP/1.1"
    server: HTTP

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        plan, provider = self.server.plan, self.server.provider
        turns = asked["contents"] if provider == "google" else asked["messages"]
        text = turns[-1]["parts"][0]["text"] if provider == "google" else turns[-1]["content"]
        names = ("authorization", "x-api-key", "x-goog-api-key")
        key = next(self.headers[name] for name in names if name in self.headers)
        key = key.removeprefix("Bearer ")
        fault = plan.take(text, key)
        said = body(provider, plan.said[bool(fault)])
        if fault[:3].isdigit():
            status, after = int(fault[:3]), fault.partition("after ")[2]
            error = {"message": f"Not with {key}: {plan.said[1]}", "type": "server_error"}
            self.say(status, said if status == 503 else said | {"error": error}, after=after)
        elif not self.breaks(fault, json.dumps(said).encode()):
            self.say(200, said)

    def breaks(self, fault: str, content: bytes) -> bool:
        """Whether there is no answer to send any more."""
        if fault == "slow":
            self.server.plan.over.wait(4)
        elif fault in ("hang up", "cut"):
            if fault == "cut":
                self.start(200, len(content))
                self.wfile.write(content[: len(content) // 2])
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return True
        wrong = {"half": content[:-9], "page": b"<html>No.", "garbage": b"\xff\x00{No.}"}.get(fault)
        if wrong is not None:
            self.start(200, len(wrong))
            self.wfile.write(wrong)
        return wrong is not None

    def say(self, status: int, said: dict[str, Any], *, after: str = "") -> None:
        content = json.dumps(said).encode()
        self.start(status, len(content), *([("retry-after", after)] if after else []))
        self.wfile.write(content)

    def start(self, status: int, length: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("content-length", str(length)), *headers):
            self.send_header(name, value)
        self.end_headers()


class HTTP(ThreadingHTTPServer):
    """One thread a connection; a client that hangs up is nobody's error."""

    daemon_threads = True

    def __init__(self, provider: str, plan: Plan) -> None:
        self.provider, self.plan = provider, plan
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing on stderr."""


class Relay(socketserver.ThreadingTCPServer):
    """Stands before a gRPC server, all of whose calls share a connection, and cuts it."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        self.beyond, self.open = port, set[socket.socket]()
        super().__init__(("127.0.0.1", 0), RelayHandler)

    def cut(self) -> None:
        """Every connection there is."""
        while self.open:
            hang_up(self.open.pop())


class RelayHandler(socketserver.BaseRequestHandler):
    """One connection."""

    server: Relay

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.beyond)) as far:
            back = threading.Thread(target=pump, args=(far, self.request))
            back.start()
            self.server.open.add(self.request)
            pump(self.request, far)
            back.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """All that comes, until one end hangs up."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    hang_up(sink)


def hang_up(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


GRPC = {
    "400": Code.INVALID_ARGUMENT,
    "429": Code.RESOURCE_EXHAUSTED,
    "500": Code.INTERNAL,
    "503": Code.UNAVAILABLE,
}


def grpc_handler(plan: Plan, cut: Callable[[], None]) -> grpc.GenericRpcHandler:
    """xAI's gRPC, down to the bytes."""

    def answer(request: Any, context: Any) -> bytes:
        metadata = dict(context.invocation_metadata())
        key = metadata["authorization"].removeprefix("Bearer ")
        fault = plan.take(request.messages[-1].content[0].text, key)
        if fault[:3].isdigit():
            if after := fault.partition("after ")[2]:
                context.set_trailing_metadata((("retry-after", after),))
            context.abort(GRPC[fault[:3]], f"Not with {key}: {plan.said[1]}")
        if fault in ("hang up", "cut", "half", "page"):  # a message comes whole or not at all
            cut()
        if fault == "slow":
            plan.over.wait(4)
        if fault == "garbage":
            return b"\xff\x00No."
        said, role = plan.said[bool(fault)], chat_pb2.ROLE_ASSISTANT
        message = chat_pb2.CompletionMessage(content=said, role=role)
        output = chat_pb2.CompletionOutput(message=message, finish_reason=sample_pb2.REASON_STOP)
        return chat_pb2.GetChatCompletionResponse(outputs=[output]).SerializeToString()

    read = chat_pb2.GetCompletionsRequest.FromString
    method = grpc.unary_unary_rpc_method_handler(answer, request_deserializer=read)
    return grpc.method_handlers_generic_handler("xai_api.Chat", {"GetCompletion": method})


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a provider's server; the spec that asks it."""
    with ExitStack() as running:

        def listen(server: socketserver.TCPServer) -> int:
            running.enter_context(server)
            threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
            running.callback(server.shutdown)
            return int(server.server_address[1])

        def serve(provider: str, plan: Plan) -> str:
            if provider == "xai":
                server = grpc.server(ThreadPoolExecutor(24))
                relay = Relay(server.add_insecure_port("127.0.0.1:0"))
                server.add_generic_rpc_handlers((grpc_handler(plan, relay.cut),))
                server.start()
                running.callback(lambda: server.stop(None).wait())
                address = f"api_host=127.0.0.1:{listen(relay)}&insecure=1"
            else:
                address = f"base_url=http://127.0.0.1:{listen(HTTP(provider, plan))}"
            running.callback(plan.over.set)
            return f"{provider}:m?{address}&timeout=0.6"

        yield serve


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, and nothing else that an SDK reads; short pauses between attempts."""
    for name in ("GOOGLE_API_KEY", "ANTHROPIC_AUTH_TOKEN", "XAI_MANAGEMENT_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OPENAI", "ANTHROPIC", "GOOGLE_GEMINI"):
        monkeypatch.delenv(f"{name}_BASE_URL", raising=False)
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    monkeypatch.setitem(Backoff.__init__.__kwdefaults__, "first", 0.01)


@pytest.fixture
def no_key_shown(folder: pytest.Pytester, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Nothing that a run wrote anywhere has the key in it."""
    yield
    assert all(MARK not in shown for shown in capfd.readouterr())
    for path in folder.path.rglob("*"):
        assert not path.is_file() or MARK.encode() not in path.read_bytes(), path


def suite(folder: pytest.Pytester, *, judged_by: str) -> None:
    folder.makepyfile(test_numbers=SUITE.replace("JUDGED_BY", judged_by))


def violated(report: dict[str, Any]) -> int:
    return sum(invariant["violated"] for invariant in report["invariants"])


ARGUMENTS = ("--surf", "-vv", "--showlocals", "--junitxml=junit.xml")


@pytest.mark.usefixtures("no_key_shown")
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_target_that_fails_in_every_way(
    provider: str, folder: pytest.Pytester, serve: Serve, latest: Latest
) -> None:
    suite(folder, judged_by=", agrees")
    plan = Plan.of(provider)
    arguments = (*ARGUMENTS, f"--surf-target={serve(provider, plan)}")
    folder.runpytest_inprocess(*arguments).assert_outcomes(passed=17, errors=3)
    assert violated(latest()) == 0
    assert latest()["failures"] == []
    assert latest()["usage"]["calls"] == len(QUESTIONS) - len(LASTING)
    unanswered = Counter(plan.lasting.keys())
    plan.heal()
    folder.runpytest_inprocess(*arguments).assert_outcomes(passed=20)
    assert plan.asked == unanswered
    assert plan.keys <= set(KEYS.values())


@pytest.mark.usefixtures("no_key_shown")
def test_a_judge_that_fails_in_every_way(
    folder: pytest.Pytester, serve: Serve, latest: Latest
) -> None:
    suite(folder, judged_by="")
    plan = Plan.of("judge", said=JUDGE_SAYS)
    arguments = (*ARGUMENTS, f"--surf-judge={serve('openai', plan)}")
    folder.runpytest_inprocess(*arguments).assert_outcomes(passed=17, errors=3)
    assert violated(latest()) == 0
    unanswered = Counter(plan.lasting.keys())
    plan.heal()
    folder.runpytest_inprocess(*arguments).assert_outcomes(passed=20)
    assert plan.asked == unanswered


@pytest.mark.usefixtures("no_key_shown")
def test_two_processes_and_one_target_that_fails(
    folder: pytest.Pytester, serve: Serve, latest: Latest
) -> None:
    suite(folder, judged_by=", agrees")
    plan = Plan.of("xdist", faults=(*("429 after 0", "500 after 0", "503") * 3, "cut", "slow"))
    arguments = (*ARGUMENTS, f"--surf-target={serve('openai', plan)}")
    folder.runpytest_inprocess(*arguments, "-n2").assert_outcomes(passed=17, errors=3)
    assert violated(latest()) == 0
    unanswered = Counter(plan.lasting.keys())
    plan.heal()
    folder.runpytest_inprocess(*arguments).assert_outcomes(passed=20)
    assert plan.asked == unanswered
