"""xai-sdk itself against a gRPC server on this machine."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
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
from tests.models.providers import ask, fails

KEY = "xai-Test0123456789abcdefghijklmnopqrstuvwxyz"
Code = grpc.StatusCode
Make = Callable[..., XAI]
SAMPLING = {"temperature": 0.5, "top_p": 0.25, "max_tokens": 64, "seed": 3, "logprobs": True}
TALK = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Hi é"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "Go on."},
]


class Script(chat_pb2_grpc.ChatServicer):  # type: ignore[misc]
    """A server that says what a test wrote down for it; the last word again and again."""

    def __init__(self, *answers: Any) -> None:
        self.answers = [*answers]
        self.requests: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self.over = threading.Event()

    def GetCompletion(self, request: Any, context: Any) -> Any:  # noqa: N802 (gRPC's name)
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if callable(answer):
            answer()
            return says()
        if isinstance(answer, tuple):
            code, details, *trailing = answer
            context.set_trailing_metadata(tuple(trailing))
            context.abort(code, details)
        return answer


@contextmanager
def serving(*handlers: Any, script: Script | None = None, port: int = 0) -> Iterator[int]:
    """A running gRPC server's port."""
    server = grpc.server(ThreadPoolExecutor(8), handlers=handlers)
    if script is not None:
        chat_pb2_grpc.add_ChatServicer_to_server(script, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield port
    finally:
        if script is not None:
            script.over.set()
        server.stop(None).wait()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", KEY)


@pytest.fixture
def script() -> Script:
    """What the server says, to be appended to its answers."""
    return Script()


@pytest.fixture
def make(script: Script) -> Iterator[Make]:
    """A provider that asks the script's server."""
    with serving(script=script) as port:
        yield lambda query="": at(port, query)


def at(port: int, query: str = "") -> XAI:
    """A provider that asks a port of this machine."""
    address = f"api_host=127.0.0.1:{port}&insecure=1"
    return XAI(parse_spec(f"xai:grok-x?{'&'.join(filter(None, (address, query)))}"))


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
    content = [chat_pb2.Content(text="Is water wet?")]
    messages = [chat_pb2.Message(role=chat_pb2.ROLE_USER, content=content)]
    sent = chat_pb2.GetCompletionsRequest(model="grok-x", n=1, messages=messages)
    assert script.requests == [sent]
    assert script.metadata[0]["authorization"] == f"Bearer {KEY}"


def test_system_and_turns_keep_their_places(script: Script, make: Make) -> None:
    script.answers.append(says())
    ask(make(), TALK)
    said = [(message.role, message.content[0].text) for message in script.requests[0].messages]
    roles = [getattr(chat_pb2, f"ROLE_{turn['role'].upper()}") for turn in TALK]
    assert said == [(role, turn["content"]) for role, turn in zip(roles, TALK, strict=True)]


def test_parameters_arrive(script: Script, make: Make) -> None:
    script.answers.append(says())
    provider = make("temperature=0.5&top_p=0.25&max_tokens=64&seed=3&logprobs=true")
    assert provider.parameters == SAMPLING
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
    assert (reply.log_probability, reply.usd) == (-0.75, pytest.approx(0.0025))
    assert (ask(provider).log_probability, ask(provider).usd) == (None, None)


def test_what_the_server_does_not_say_is_not_known(script: Script, make: Make) -> None:
    script.answers += [says(), says()]
    script.answers[0].ClearField("usage")
    script.answers[1].usage.total_tokens = 0
    provider = make()
    assert ask(provider) == Reply("Yes.", "stop")
    assert ask(provider).completion_tokens == 3


def test_end_of_the_answer_is_told(script: Script, make: Make) -> None:
    reasons = ("MAX_LEN", "MAX_CONTEXT", "TIME_LIMIT", "TOOL_CALLS")
    script.answers += [says(reason=sample_pb2.FinishReason.Value(f"REASON_{r}")) for r in reasons]
    provider = make()
    assert [ask(provider).finish_reason for _ in reasons] == ["length"] * 3 + ["tool_calls"]


def test_only_silence_that_is_meant_is_an_answer(script: Script, make: Make) -> None:
    script.answers += [says(""), says("", sample_pb2.REASON_MAX_LEN)]
    script.answers += [says("", sample_pb2.REASON_TIME_LIMIT), chat_pb2.GetChatCompletionResponse()]
    provider = make()
    assert ask(provider).text == ""
    assert "give it more" in str(fails(provider, ModelError))
    for _ in range(2):
        fails(provider, Transient)


def test_blocked_prompt_is_an_answer_that_says_why(script: Script, make: Make) -> None:
    details = "Content violates usage guidelines. Team: 16f2151a, API key ID: 0042"
    check = "Failed check: SAFETY_CHECK_TYPE_BIO"
    script.answers.append((Code.PERMISSION_DENIED, f"{details}, {check}"))
    script.answers.append((Code.PERMISSION_DENIED, details))
    provider = make()
    assert ask(provider) == Reply("", "filter", refusal="SAFETY_CHECK_TYPE_BIO")
    assert ask(provider) == Reply("", "filter", refusal="usage guidelines")


@pytest.mark.parametrize("name", ["UNAVAILABLE", "INTERNAL", "ABORTED", "UNKNOWN", "CANCELLED"])
def test_server_s_error_is_for_the_engine(script: Script, make: Make, name: str) -> None:
    script.answers.append((Code[name], "Overloaded.\nTry later.", ("retry-after", "2.5")))
    error = fails(make(), Transient)
    assert (error.throttled, error.after) == (False, 2.5)
    assert str(error).endswith(f" answers {name}: Overloaded. Try later.")
    assert len(script.requests) == 1  # the SDK asked once


def test_throttling_says_how_long_to_wait(script: Script, make: Make) -> None:
    for trailing in ([("retry-after", "7")], [("retry-after", "soon")], []):
        script.answers.append((Code.RESOURCE_EXHAUSTED, "Too many requests", *trailing))
    provider = make()
    errors = [fails(provider, Transient) for _ in range(3)]
    assert [(e.throttled, e.after) for e in errors] == [(True, 7), (True, None), (True, None)]


def test_spent_credit_is_not_waited_for(script: Script, make: Make) -> None:
    details = "Your team has used all available credits or reached its spending limit."
    script.answers += [(Code.RESOURCE_EXHAUSTED, details), (Code.PERMISSION_DENIED, details)]
    provider = make()
    for _ in script.answers:
        assert "used all available credits" in str(fails(provider, QuotaSpent))


@pytest.mark.parametrize(
    ("given", "details"),
    [
        ("logprobs=true", "Argument not supported on this model: logprobs"),
        ("temperature=3", "temperature must be between 0 and 2"),
        ("top_p=1", "Model grok-x does not support parameter topP."),
        ("max_tokens=99", "Invalid maxCompletionTokens"),
        ("seed=1", "Argument not supported on this model: seed"),
    ],
)
def test_refused_parameter_is_named(script: Script, make: Make, given: str, details: str) -> None:
    script.answers.append((Code.INVALID_ARGUMENT, details))
    assert fails(make(given), Unsupported).parameter == given.partition("=")[0]
    fails(make(), ModelError)  # never one that was not sent: dropping it would change nothing


@pytest.mark.parametrize("name", ["UNAUTHENTICATED", "PERMISSION_DENIED", "INVALID_ARGUMENT"])
def test_refused_key_is_not_shown(script: Script, make: Make, name: str) -> None:
    script.answers.append((Code[name], f"Incorrect API key provided: {KEY[:6]}***{KEY[-4:]}."))
    shown = str(fails(make(), UsageError))
    assert "XAI_API_KEY" in shown
    assert KEY[:6] not in shown


def test_echoed_key_is_struck_out(script: Script, make: Make) -> None:
    script.answers.append((Code.INTERNAL, "x" * 180 + f" {KEY} \x1b[31m"))
    assert str(fails(make(), Transient)).endswith(" *** [31m")


@pytest.mark.parametrize(
    ("name", "details", "kind", "shown"),
    [
        ("NOT_FOUND", "No access to grok-x.", UsageError, "no model 'grok-x'"),
        ("INVALID_ARGUMENT", "Model not found: grok-x", UsageError, "no model 'grok-x'"),
        ("INVALID_ARGUMENT", "The maximum prompt length is 9 tokens.", ModelError, "longer than"),
        ("INVALID_ARGUMENT", "[input_too_large] exceeds budget", ModelError, "longer than"),
        ("FAILED_PRECONDITION", "Not now.", ModelError, "(FAILED_PRECONDITION): Not now."),
        ("DEADLINE_EXCEEDED", "Too slow.", Transient, "no answer"),
        ("UNIMPLEMENTED", "Method not found!", UsageError, "correct api_host"),
    ],
)
def test_other_refusals(
    script: Script, make: Make, name: str, details: str, kind: Any, shown: str
) -> None:
    script.answers.append((Code[name], details))
    assert shown in str(fails(make("max_tokens=5"), kind))


def test_prompt_beyond_what_the_channel_carries_is_never_sent(script: Script, make: Make) -> None:
    with pytest.raises(ModelError, match="longer than the model takes"):
        ask(make(), "x" * (21 << 20))
    assert script.requests == []


@pytest.mark.parametrize(("prompt", "query"), [("a\ud800b", ""), ("hi", "seed=4294967296")])
def test_question_that_the_sdk_refuses_is_an_error(make: Make, prompt: str, query: str) -> None:
    with pytest.raises(ModelError, match="can't be asked this"):
        ask(make(query), prompt)


def test_malformed_answers_are_errors(script: Script, make: Make) -> None:
    script.answers.append(says(reason=99))
    assert "can't be read" in str(fails(make(), ModelError))
    method = grpc.unary_unary_rpc_method_handler(lambda *_: b"\xff\xff\xff")
    handler = grpc.method_handlers_generic_handler("xai_api.Chat", {"GetCompletion": method})
    with serving(handler) as port:
        assert "can't be read" in str(fails(at(port), ModelError))


def test_server_that_hangs_up_is_asked_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(listener.accept)
        accepted.add_done_callback(lambda done: done.result()[0].close())
        fails(at(listener.getsockname()[1]), Transient)


def test_slow_answer_is_given_up(script: Script, make: Make) -> None:
    script.answers.append(lambda: script.over.wait(5))
    assert "0.1 s" in str(fails(make("timeout=0.1"), Transient))


def test_server_that_is_gone_is_told_at_once_and_found_when_it_is_back() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    provider, question = at(port), Ask(Prompt.of("hi"))

    async def come_back() -> Reply:
        began = time.monotonic()
        with pytest.raises(Transient, match="UNAVAILABLE"):
            await provider.complete(question, {})
        assert time.monotonic() - began < 1
        with serving(script=Script(says()), port=port):
            while time.monotonic() - began < 5:
                with suppress(Transient):
                    return await provider.complete(question, {})
                await asyncio.sleep(0.05)
        raise AssertionError("not found again")

    assert asyncio.run(come_back()).text == "Yes."


def test_key_is_asked_for_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", " ")
    for spec in ("xai:m", "xai:m?api_host=127.0.0.1:9", "xai:m?api_host=a.b&insecure=1"):
        assert "XAI_API_KEY is not set" in str(fails(XAI(parse_spec(spec)), UsageError))
    monkeypatch.setenv("XAI_API_KEY", f"{KEY}\nx")
    fails(XAI(parse_spec("xai:m")), UsageError)


def test_local_server_needs_no_key(script: Script, make: Make, monkeypatch: Any) -> None:
    monkeypatch.delenv("XAI_API_KEY")
    script.answers.append(says())
    assert ask(make()).text == "Yes."
    assert script.metadata[0]["authorization"] == "Bearer none"


def test_key_is_not_sent_in_the_clear_unless_that_is_asked_for() -> None:
    with serving(script=(script := Script(says()))) as port:
        fails(XAI(parse_spec(f"xai:m?api_host=127.0.0.1:{port}&insecure=0")), Transient)
    assert script.metadata == []


def test_names_of_the_model_hold_no_secret() -> None:
    provider = XAI(parse_spec("xai:m?temperature=1&usd_in=0.3&usd_out=2.5"), label="mine")
    assert (provider.spec, provider.price) == ("mine", (0.3, 2.5))
    assert (provider.identity, provider.lane) == ("xai:api.x.ai:m", "xai:api.x.ai")
    assert at(9).identity == "xai:127.0.0.1:9:grok-x"
    for host in (f"me:{KEY}@127.0.0.1:9", f"https://a.b/{KEY}", f"a.b?{KEY}"):
        with pytest.raises(UsageError, match="api_host is no host") as caught:
            XAI(parse_spec(f"xai:m?api_host={host}"))
        assert KEY not in str(caught.value)


def test_questions_overlap_and_another_loop_does_not_matter(script: Script, make: Make) -> None:
    script.answers += [threading.Barrier(4, timeout=5).wait] * 4 + [says()]
    provider = make()

    async def many() -> list[Reply]:  # and nobody closes the channel
        return await asyncio.gather(*(provider.complete(Ask(Prompt.of("hi")), {}) for _ in "1234"))

    assert [reply.text for reply in asyncio.run(many())] == ["Yes."] * 4
    assert ask(provider).text == "Yes."


def test_cancelled_question_is_cancelled(script: Script, make: Make) -> None:
    script.answers.append(lambda: script.over.wait(5))
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
