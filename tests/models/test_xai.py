"""xai-sdk itself against a gRPC server on this machine."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from xai_sdk.proto import chat_pb2, chat_pb2_grpc, sample_pb2, usage_pb2

from surfcheck.errors import ModelError, UsageError
from surfcheck.models.provider import QuotaSpent, Reply, Transient, Unsupported
from surfcheck.models.spec import parse_spec
from surfcheck.models.xai import XAI
from surfcheck.records import Prompt
from surfcheck.roles import Ask

KEY = "xai-Test0123456789abcdefghijklmnopqrstuvwxyz"
Code = grpc.StatusCode
Make = Callable[..., XAI]


@dataclass
class Script(chat_pb2_grpc.ChatServicer):  # type: ignore[misc]
    """A server that says what a test wrote down for it; the last word again and again."""

    port: int = 0
    requests: list[Any] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def GetCompletion(self, request: Any, context: Any) -> Any:  # noqa: N802 (gRPC's name)
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if isinstance(answer, float):
            self.over.wait(answer)
            return says()
        if isinstance(answer, tuple):
            code, details, *trailing = answer
            context.set_trailing_metadata(tuple(trailing))
            context.abort(code, details)
        return answer


def serve(servicer: Script, port: int = 0) -> grpc.Server:
    """A running server; its port is the servicer's."""
    server = grpc.server(ThreadPoolExecutor(8))
    chat_pb2_grpc.add_ChatServicer_to_server(servicer, server)
    servicer.port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server


@pytest.fixture
def script() -> Iterator[Script]:
    """Say what the server says by `script.answers.append`."""
    script = Script()
    server = serve(script)
    yield script
    script.over.set()
    server.stop(None).wait()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", KEY)
    monkeypatch.delenv("XAI_MANAGEMENT_KEY", raising=False)


@pytest.fixture
def make(script: Script) -> Make:
    """A provider that asks the script's server."""
    return lambda query="": at(script.port, query)


def at(port: int, query: str = "") -> XAI:
    """A provider that asks a port of this machine."""
    address = f"api_host=127.0.0.1:{port}&insecure=1"
    return XAI(parse_spec(f"xai:grok-x?{'&'.join(filter(None, (address, query)))}"))


def ask(provider: XAI, prompt: Any = "Is water wet?", sample: int = 0) -> Reply:
    """The provider's answer, on a loop of its own."""

    async def complete() -> Reply:
        try:
            question = Ask(Prompt.of(prompt), sample)
            return await provider.complete(question, provider.parameters)
        finally:
            await provider.close()

    return asyncio.run(complete())


def fails(provider: XAI, kind: type[ModelError | UsageError]) -> Any:
    """The error of exactly this kind: one line, without the key."""
    with pytest.raises(kind) as caught:
        ask(provider)
    assert type(caught.value) is kind
    shown = str(caught.value)
    assert KEY not in shown + repr(caught.value)
    assert "\n" not in shown
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def says(
    text: str = "Yes.", reason: int = sample_pb2.REASON_STOP, **fields: Any
) -> chat_pb2.GetChatCompletionResponse:
    """An answer as the API words it."""
    message = chat_pb2.CompletionMessage(
        content=text, reasoning_content="Let me think.", role=chat_pb2.ROLE_ASSISTANT
    )
    output = chat_pb2.CompletionOutput(finish_reason=reason, message=message, **fields)
    usage = usage_pb2.SamplingUsage(
        prompt_tokens=7, completion_tokens=3, reasoning_tokens=40, total_tokens=50
    )
    return chat_pb2.GetChatCompletionResponse(model="grok-x", outputs=[output], usage=usage)


def test_question_goes_out_and_answer_comes_back(script: Script, make: Make) -> None:
    script.answers.append(says())
    assert ask(make()) == Reply("Yes.", "stop", prompt_tokens=7, completion_tokens=43)
    (request,) = script.requests
    assert request == chat_pb2.GetCompletionsRequest(
        model="grok-x",
        n=1,
        messages=[
            chat_pb2.Message(
                role=chat_pb2.ROLE_USER, content=[chat_pb2.Content(text="Is water wet?")]
            )
        ],
    )
    assert script.metadata[0]["authorization"] == f"Bearer {KEY}"


def test_system_and_turns_keep_their_places(script: Script, make: Make) -> None:
    script.answers.append(says())
    turns = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hi é"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Go on."},
    ]
    ask(make(), turns)
    assert [(m.role, [c.text for c in m.content]) for m in script.requests[0].messages] == [
        (chat_pb2.ROLE_SYSTEM, ["Be short."]),
        (chat_pb2.ROLE_USER, ["Hi é"]),
        (chat_pb2.ROLE_ASSISTANT, ["Hello."]),
        (chat_pb2.ROLE_USER, ["Go on."]),
    ]


def test_parameters_arrive(script: Script, make: Make) -> None:
    script.answers.append(says())
    provider = make("temperature=0.5&top_p=0.25&max_tokens=64&seed=3&logprobs=true")
    assert provider.parameters == {
        "temperature": 0.5,
        "top_p": 0.25,
        "max_tokens": 64,
        "seed": 3,
        "logprobs": True,
    }
    ask(provider, sample=2)
    sent = script.requests[0]
    assert (sent.temperature, sent.top_p, sent.max_tokens) == (0.5, 0.25, 64)
    assert (sent.seed, sent.logprobs) == (5, True)  # the seed of sample 2


def test_log_probability_and_price_are_the_server_s(script: Script, make: Make) -> None:
    content = [chat_pb2.LogProb(logprob=-0.25), chat_pb2.LogProb(logprob=-0.5)]
    answer = says(logprobs=chat_pb2.LogProbs(content=content))
    answer.usage.cost_in_usd_ticks = 25_000_000
    script.answers.append(answer)
    impossible = chat_pb2.LogProb(logprob=float("-inf"))
    script.answers.append(says(logprobs=chat_pb2.LogProbs(content=[impossible])))
    provider = make("logprobs=true")
    reply = ask(provider)
    assert reply.log_probability == -0.75
    assert reply.usd == pytest.approx(0.0025)
    assert (ask(provider).log_probability, ask(provider).usd) == (None, None)


def test_what_the_server_does_not_say_is_not_known(script: Script, make: Make) -> None:
    answer = says()
    answer.ClearField("usage")
    script.answers.append(answer)
    answer = says()
    answer.usage.total_tokens = 0
    script.answers.append(answer)
    provider = make()
    assert ask(provider) == Reply("Yes.", "stop")
    assert ask(provider).completion_tokens == 3


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (sample_pb2.REASON_MAX_LEN, "length"),
        (sample_pb2.REASON_MAX_CONTEXT, "length"),
        (sample_pb2.REASON_TIME_LIMIT, "length"),
        (sample_pb2.REASON_TOOL_CALLS, "tool_calls"),
    ],
)
def test_end_of_the_answer_is_told(script: Script, make: Make, reason: int, expected: str) -> None:
    script.answers.append(says(reason=reason))
    assert ask(make()).finish_reason == expected


def test_model_may_say_nothing(script: Script, make: Make) -> None:
    script.answers.append(says(""))
    assert ask(make()).text == ""


def test_tokens_gone_before_the_answer_are_no_answer(script: Script, make: Make) -> None:
    script.answers.append(says("", sample_pb2.REASON_MAX_LEN))
    assert "give it more" in str(fails(make(), ModelError))


def test_blocked_prompt_is_an_answer_that_says_why(script: Script, make: Make) -> None:
    details = (
        "Content violates usage guidelines. Team: 16f2151a, API key ID: 0042, Model: grok-x, "
        "Failed check: SAFETY_CHECK_TYPE_BIO"
    )
    script.answers.append((Code.PERMISSION_DENIED, details))
    script.answers.append((Code.PERMISSION_DENIED, "Content violates usage guidelines."))
    provider = make()
    assert ask(provider) == Reply("", "filter", refusal="SAFETY_CHECK_TYPE_BIO")
    assert ask(provider) == Reply("", "filter", refusal="usage guidelines")


@pytest.mark.parametrize(
    "code",
    [
        Code.UNAVAILABLE,
        Code.DEADLINE_EXCEEDED,
        Code.INTERNAL,
        Code.ABORTED,
        Code.UNKNOWN,
        Code.CANCELLED,
    ],
)
def test_server_s_error_is_asked_again_but_not_by_the_sdk(
    script: Script, make: Make, code: grpc.StatusCode
) -> None:
    script.answers.append((code, "Overloaded.\nTry later.", ("retry-after", "2.5")))
    error = fails(make(), Transient)
    assert not error.throttled
    if code is not Code.DEADLINE_EXCEEDED:
        assert f"{code.name}: Overloaded. Try later." in str(error)
        assert error.after == 2.5
    assert len(script.requests) == 1


def test_throttling_says_how_long_to_wait(script: Script, make: Make) -> None:
    for trailing in ([("retry-after", "7")], [("retry-after", "soon")], []):
        script.answers.append((Code.RESOURCE_EXHAUSTED, "Too many requests", *trailing))
    provider = make()
    errors = [fails(provider, Transient) for _ in range(3)]
    assert [(e.throttled, e.after) for e in errors] == [(True, 7), (True, None), (True, None)]


@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.PERMISSION_DENIED])
def test_spent_credit_is_not_waited_for(script: Script, make: Make, code: grpc.StatusCode) -> None:
    script.answers.append(
        (code, "Your team has either used all available credits or reached its spending limit.")
    )
    assert "used all available credits" in str(fails(make(), QuotaSpent))


@pytest.mark.parametrize(
    ("parameter", "details"),
    [
        ("logprobs=true", "Argument not supported on this model: logprobs"),
        ("temperature=3", "temperature must be between 0 and 2"),
        ("top_p=1", "Model grok-x does not support parameter topP."),
        ("max_tokens=99", "Invalid maxCompletionTokens"),
        ("seed=1", "Argument not supported on this model: seed"),
    ],
)
def test_parameter_that_the_model_does_not_take_is_named(
    script: Script, make: Make, parameter: str, details: str
) -> None:
    script.answers.append((Code.INVALID_ARGUMENT, details))
    assert fails(make(parameter), Unsupported).parameter == parameter.partition("=")[0]
    # Never one that was not sent: dropping it would change nothing.
    fails(make(), ModelError)


@pytest.mark.parametrize(
    ("code", "details"),
    [
        (Code.UNAUTHENTICATED, "No credentials."),
        (Code.PERMISSION_DENIED, "The key may not do this."),
        (Code.INVALID_ARGUMENT, f"Incorrect API key provided: {KEY[:6]}***{KEY[-4:]}."),
    ],
)
def test_refused_key_names_the_variable_and_never_the_key(
    script: Script, make: Make, code: grpc.StatusCode, details: str
) -> None:
    script.answers.append((code, details))
    shown = str(fails(make(), UsageError))
    assert "XAI_API_KEY" in shown
    assert KEY[:6] not in shown


def test_echoed_key_is_struck_out(script: Script, make: Make) -> None:
    script.answers.append((Code.INTERNAL, "x" * 180 + f" {KEY} \x1b[31m"))
    shown = str(fails(make(), Transient))
    assert "***" in shown
    assert KEY[:6] not in shown
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("code", "details"),
    [
        (Code.NOT_FOUND, "The model grok-x does not exist or your team has no access to it."),
        (Code.INVALID_ARGUMENT, "Model not found: grok-x"),
    ],
)
def test_unknown_model_is_named(
    script: Script, make: Make, code: grpc.StatusCode, details: str
) -> None:
    script.answers.append((code, details))
    assert "no model 'grok-x'" in str(fails(make("seed=1"), UsageError))


@pytest.mark.parametrize(
    "details",
    [
        "This model's maximum prompt length is 131072 but the request contains 150000 tokens.",
        "Failed to start sampling: [input_too_large] Current message exceeds budget",
    ],
)
def test_too_long_a_prompt_is_this_question_s_fault(
    script: Script, make: Make, details: str
) -> None:
    script.answers.append((Code.INVALID_ARGUMENT, details))
    assert "longer than the model takes" in str(fails(make("max_tokens=5"), ModelError))


def test_prompt_beyond_what_the_channel_carries_is_never_sent(script: Script, make: Make) -> None:
    with pytest.raises(ModelError, match="longer than the model takes") as caught:
        ask(make(), "x" * (21 << 20))
    assert type(caught.value) is ModelError
    assert script.requests == []


@pytest.mark.parametrize(("prompt", "query"), [("a\ud800b", ""), ("hi", "seed=4294967296")])
def test_question_that_the_sdk_refuses_is_an_error(make: Make, prompt: str, query: str) -> None:
    with pytest.raises(ModelError, match="can't be asked this"):
        ask(make(query), prompt)


def test_malformed_answers_are_errors(script: Script, make: Make) -> None:
    script.answers.append(says(reason=99))
    fails(make(), ModelError)
    script.answers[:] = [chat_pb2.GetChatCompletionResponse()]
    fails(make(), Transient)


def test_answer_that_is_no_message_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    method = grpc.unary_unary_rpc_method_handler(lambda *_: b"\xff\xff\xff")
    handler = grpc.method_handlers_generic_handler("xai_api.Chat", {"GetCompletion": method})
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert "can't be read" in str(fails(at(port), ModelError))
    finally:
        server.stop(None).wait()
    assert KEY not in caplog.text


def test_server_that_speaks_something_else_is_told() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert "api_host" in str(fails(at(port), UsageError))
    finally:
        server.stop(None).wait()


def test_server_that_hangs_up_is_asked_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            connection.recv(64)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        fails(at(listener.getsockname()[1]), Transient)
        thread.join()


def test_slow_answer_is_given_up(script: Script, make: Make) -> None:
    script.answers.append(5.0)
    assert "0.1 s" in str(fails(make("timeout=0.1"), Transient))


def test_server_that_is_gone_is_told_at_once_and_found_when_it_is_back() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    provider, script = at(port), Script(answers=[says()])

    async def come_back() -> Reply:
        question = Ask(Prompt.of("hi"))
        began = time.monotonic()
        with pytest.raises(Transient, match="UNAVAILABLE"):
            await provider.complete(question, {})
        assert time.monotonic() - began < 1
        server = serve(script, port)
        try:
            while True:
                try:
                    return await provider.complete(question, {})
                except Transient:
                    assert time.monotonic() - began < 5
                    await asyncio.sleep(0.05)
        finally:
            await provider.close()
            server.stop(None)

    assert asyncio.run(come_back()).text == "Yes."


def test_key_is_asked_for_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", " ")
    for spec in ("xai:grok-x", "xai:grok-x?api_host=127.0.0.1:9", "xai:m?api_host=a.b&insecure=1"):
        assert "XAI_API_KEY is not set" in str(fails(XAI(parse_spec(spec)), UsageError))
    monkeypatch.setenv("XAI_API_KEY", f"{KEY}\nx")
    fails(XAI(parse_spec("xai:grok-x")), UsageError)


def test_server_on_this_machine_needs_no_key(
    script: Script, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XAI_API_KEY")
    script.answers.append(says())
    assert ask(make()).text == "Yes."
    assert script.metadata[0]["authorization"] == "Bearer none"


def test_key_is_not_sent_in_the_clear_unless_that_is_asked_for(script: Script) -> None:
    script.answers.append(says())
    fails(XAI(parse_spec(f"xai:m?api_host=127.0.0.1:{script.port}&insecure=0")), Transient)
    assert script.metadata == []


def test_names_of_the_model_hold_no_secret() -> None:
    provider = XAI(parse_spec("xai:m?temperature=1&usd_in=0.3&usd_out=2.5"), label="mine")
    assert (provider.spec, provider.price) == ("mine", (0.3, 2.5))
    assert (provider.identity, provider.lane) == ("xai:api.x.ai:m", "xai:api.x.ai")
    assert at(9).identity == "xai:127.0.0.1:9:grok-x"
    for host in (f"me:{KEY}@127.0.0.1:9", f"https://a.b/{KEY}", f"a.b?{KEY}", ""):
        with pytest.raises(UsageError) as caught:
            XAI(parse_spec(f"xai:m?api_host={host}"))
        if host:
            assert "api_host is no host" in str(caught.value)
            assert KEY not in str(caught.value)


def test_questions_overlap_on_one_loop_and_survive_a_new_one(script: Script, make: Make) -> None:
    script.answers.append(0.3)
    provider = make()

    async def many() -> list[Reply]:
        asks = [Ask(Prompt.of("hi"), sample) for sample in range(6)]
        try:
            return await asyncio.gather(*(provider.complete(one, {}) for one in asks))
        finally:
            await provider.close()

    began = time.monotonic()
    assert [reply.text for reply in asyncio.run(many())] == ["Yes."] * 6
    assert time.monotonic() - began < 1.2
    script.answers[:] = [says()]
    assert ask(provider).text == "Yes."


def test_a_new_loop_gets_a_channel_of_its_own(script: Script, make: Make) -> None:
    script.answers.append(says())
    provider = make()
    asyncio.run(provider.complete(Ask(Prompt.of("hi")), {}))
    assert ask(provider).text == "Yes."


def test_cancelled_question_is_cancelled(script: Script, make: Make) -> None:
    script.answers.append(5.0)
    provider = make()

    async def give_up() -> None:
        question = asyncio.ensure_future(provider.complete(Ask(Prompt.of("hi")), {}))
        while not script.requests:
            await asyncio.sleep(0.01)
        question.cancel()
        with pytest.raises(asyncio.CancelledError):
            await question
        await provider.close()

    asyncio.run(give_up())
