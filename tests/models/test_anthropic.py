"""The anthropic SDK against a server on this machine."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from anthropic.resources.messages import DEPRECATED_MODELS

from surfcheck.errors import ModelError, SurfcheckError, UsageError
from surfcheck.models.anthropic import Anthropic
from surfcheck.models.provider import QuotaSpent, Reply, Transient, Unsupported
from surfcheck.models.spec import parse_spec
from surfcheck.records import Prompt
from surfcheck.roles import Ask
from tests.models.providers import ASK, ask_all, failure

KEY = "sk-ant-0123456789abcdefghij"
TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Is water wet?"},
]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment, and nothing else there that the SDK reads."""
    for name in ("ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


@pytest.fixture
def make(loopback: Any) -> Any:
    """Builds a model behind the loopback server from further parameters."""

    def make(query: str = "", name: str = "claude-1") -> Anthropic:
        more = f"&{query}" if query else ""
        return Anthropic(parse_spec(f"anthropic:{name}?base_url={loopback.url}{more}"))

    return make


def message(*texts: str, stop: str = "end_turn", **more: Any) -> dict[str, Any]:
    """What the API sends."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-1",
        "content": [{"type": "text", "text": text} for text in texts],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 2},
    } | more


def refusal(kind: str = "invalid_request_error", said: str = "no", **more: Any) -> dict[str, Any]:
    """What the API sends in place of an answer."""
    return {"type": "error", "error": {"type": kind, "message": said} | more, "request_id": "1"}


def test_what_is_sent_and_what_comes_back(loopback: Any, make: Any) -> None:
    loopback.reply(message("Yes", "."))
    assert ask_all(make("max_tokens=16")) == [
        Reply("Yes.", finish_reason="stop", prompt_tokens=9, completion_tokens=2)
    ]
    (request,) = loopback.requests
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert KEY in request.headers["authorization"]
    assert request.headers["anthropic-version"] == "2026-10-21"
    assert request.json == {
        "model": "claude-1",
        "messages": [{"role": "user", "content": "Is water wet?"}],
        "max_tokens": 16,
    }


def test_there_is_always_a_limit_and_it_is_a_parameter(loopback: Any, make: Any) -> None:
    loopback.reply(message("Yes."))
    model = make()
    assert model.parameters == {"max_tokens": 1024}
    ask_all(model)
    ask_all(model, parameters={})
    assert [request.json["max_tokens"] for request in loopback.requests] == [1024, 1024]


def test_system_turns_are_joined_and_the_others_sent_as_they_are(loopback: Any, make: Any) -> None:
    loopback.reply(message("Yes."))
    ask_all(make(), Ask(Prompt.of(TALK)))
    (request,) = loopback.requests
    assert request.json["system"] == "Be kind.\n\nBe short."
    assert request.json["messages"] == [turn for turn in TALK if turn["role"] != "system"]


def test_every_loop_has_a_client_of_its_own(loopback: Any, make: Any) -> None:
    loopback.reply(message("Yes."))
    model = make()
    with asyncio.Runner() as one, asyncio.Runner() as other:
        for runner in (one, other, one):
            runner.run(model.complete(ASK, {}))
        for runner in (one, other, one):
            runner.run(model.close())
    assert len(loopback.requests) == 3


def test_only_text_is_the_answer(loopback: Any, make: Any) -> None:
    blocks = [{"type": "thinking", "thinking": "Hm.", "signature": "x"}]
    blocks += [{"type": "text", "text": "Yes."}, {"type": "new_in_2027", "text": "No."}]
    loopback.reply(message(content=blocks))
    assert ask_all(make())[0].text == "Yes."


def test_all_of_the_prompt_is_counted(loopback: Any, make: Any) -> None:
    usage = {"input_tokens": 9, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 300}
    loopback.reply(message("Yes.", usage=usage | {"output_tokens": 2}))
    loopback.reply(message("Yes.", usage=None))
    first, second = ask_all(make(), ASK, ASK)
    assert (first.prompt_tokens, first.completion_tokens) == (329, 2)
    assert (second.prompt_tokens, second.completion_tokens) == (None, None)


STOPS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "pause_turn",
}


@pytest.mark.parametrize("stop", STOPS)
def test_why_it_stopped(loopback: Any, make: Any, stop: str) -> None:
    loopback.reply(message("Yes.", stop=stop))
    assert ask_all(make())[0].finish_reason == STOPS[stop]


def test_an_answer_may_be_empty(loopback: Any, make: Any) -> None:
    loopback.reply(message())
    assert ask_all(make())[0].text == ""


def test_a_refusal_has_a_reason(loopback: Any, make: Any) -> None:
    told = {"type": "refusal", "category": "cyber", "explanation": "Could be malware."}
    loopback.reply(message(stop="refusal", stop_details=told))
    loopback.reply(message(stop="refusal", stop_details=told | {"explanation": None}))
    loopback.reply(message("Well, ", stop="refusal", stop_details=None))
    replies = ask_all(make(), ASK, ASK, ASK)
    assert [reply.finish_reason for reply in replies] == ["refusal"] * 3
    assert [reply.refusal for reply in replies] == ["Could be malware.", "cyber", "refusal"]
    assert [reply.text for reply in replies] == ["", "", "Well, "]


def test_what_a_filter_stopped_is_a_reply(loopback: Any, make: Any) -> None:
    said = "Output blocked by content filtering policy"
    loopback.reply(refusal(said=said), status=400)
    assert ask_all(make()) == [Reply("", finish_reason="filter", refusal=said)]


@pytest.mark.parametrize("version", ["", "version=2026-10-21"])
@pytest.mark.parametrize("name", ["temperature", "top_p", "seed", "logprobs"])
def test_a_parameter_that_the_api_lacks_is_not_sent(
    loopback: Any, make: Any, name: str, version: str
) -> None:
    error = failure(make(version), parameters={"max_tokens": 5, name: 1})
    assert isinstance(error, Unsupported)
    assert error.parameter == name
    assert loopback.requests == []


def test_an_older_version_knows_a_temperature(loopback: Any, make: Any) -> None:
    loopback.reply(message("Yes."))
    model = make("version=2023-06-01&temperature=0.5&top_p=0.9")
    ask_all(model)
    (request,) = loopback.requests
    assert request.headers["anthropic-version"] == "2023-06-01"
    assert (request.json["temperature"], request.json["top_p"]) == (0.5, 0.9)
    assert model.identity == f"anthropic:{loopback.url}:claude-1:2023-06-01"
    assert model.notes == ()


@pytest.mark.parametrize(
    ("said", "parameter"),
    [
        ("`temperature` is deprecated for this model.", "temperature"),
        ("top_p: Extra inputs are not permitted", "top_p"),
    ],
)
def test_a_parameter_that_a_model_does_not_take_is_named(
    loopback: Any, make: Any, said: str, parameter: str
) -> None:
    loopback.reply(refusal(said=said), status=400)
    error = failure(make("version=2023-06-01&temperature=0.5&top_p=0.9"))
    assert isinstance(error, Unsupported)
    assert error.parameter == parameter


ERRORS = [
    (429, refusal("rate_limit_error"), Transient, "answers 429"),
    (529, refusal("overloaded_error", "Overloaded"), Transient, "answers 529: Overloaded"),
    (503, refusal("api_error"), Transient, "answers 503"),
    (500, refusal("api_error"), Transient, "answers 500"),
    (400, refusal(said="Your credit balance is too low to access"), QuotaSpent, "is used up"),
    (402, refusal("billing_error"), QuotaSpent, "is used up"),
    (401, refusal("authentication_error", f"invalid {KEY}"), UsageError, "ANTHROPIC_API_KEY"),
    (403, refusal("permission_error", f"{KEY} may not"), UsageError, "ANTHROPIC_API_KEY"),
    (404, refusal("not_found_error", "model: claude-1"), UsageError, "has no model 'claude-1'"),
    (404, {"detail": "Not Found"}, UsageError, "such as https://api.anthropic.com"),
    (400, refusal(said="prompt is too long: 9 tokens > 8"), ModelError, "prompt is longer"),
    (413, refusal("request_too_large"), ModelError, "prompt is longer"),
    (400, refusal(said="max_tokens: 9 > 8"), ModelError, "(400): max_tokens: 9 > 8"),
    (400, refusal(said="unexpected max_tokens"), ModelError, "(400): unexpected max_tokens"),
]


@pytest.mark.parametrize(("status", "body", "kind", "said"), ERRORS)
def test_errors(
    loopback: Any, make: Any, status: int, body: object, kind: type[SurfcheckError], said: str
) -> None:
    loopback.reply(body, status=status, headers={"retry-after": "2"})
    error = failure(make())
    assert type(error) is kind
    assert said in str(error)
    if isinstance(error, Transient):
        assert (error.after, error.throttled) == (2.0, status != 500)
    assert len(loopback.requests) == 1  # the SDK does not try again


def test_a_key_is_never_repeated(loopback: Any, make: Any) -> None:
    loopback.reply(refusal(said=f"what is {KEY}?"), status=400)
    model = make()
    assert str(failure(model)).endswith("(400): what is ***?")
    assert "0123456789" not in repr(model) + model.identity + model.lane + model.spec


MALFORMED = [
    ("<!DOCTYPE html><p>Sign in", Transient),
    ('{"content": [{"type": "text", "text": "Ye', Transient),
    ("", Transient),
    ("oops", ModelError),
    ("{}", ModelError),
    (message(content=None), ModelError),
    (message(content="Yes."), ModelError),
    (message(content=[{"type": "text", "text": 5}]), ModelError),
    (message(stop="max_tokens"), ModelError),
]


@pytest.mark.parametrize(("body", "kind"), MALFORMED)
def test_a_malformed_answer_is_no_answer(
    loopback: Any, make: Any, body: object, kind: type[ModelError]
) -> None:
    loopback.reply(body)
    assert type(failure(make())) is kind


def test_an_answer_cut_midway_is_transient(loopback: Any, make: Any) -> None:
    loopback.reply(message("Yes."), cut=True)
    error = failure(make())
    assert isinstance(error, Transient)
    assert "hung up" in str(error)
    assert len(loopback.requests) == 1


def test_a_slow_answer_is_transient(loopback: Any, make: Any) -> None:
    loopback.reply(message("Yes."), delay=30)
    error = failure(make("timeout=0.1"))
    assert isinstance(error, Transient)
    assert str(error).endswith("gave no answer in 0.1 s")


def test_a_host_that_can_not_be_reached_is_named() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        error = failure(Anthropic(parse_spec(f"anthropic:claude-1?base_url=http://{host}")))
    assert isinstance(error, Transient)
    assert str(error) == f"{host} can't be reached (Connection refused): see that it runs"


def test_a_prompt_that_is_no_unicode(loopback: Any, make: Any) -> None:
    with pytest.raises(ModelError, match="not Unicode"):
        ask_all(make(), Ask(Prompt.of("\ud800")))
    assert loopback.requests == []


def test_a_model_that_ends_soon_is_noted_and_warns_of_nothing(loopback: Any, make: Any) -> None:
    name, date = next(iter(DEPRECATED_MODELS.items()))
    loopback.reply(message("Yes."))
    model = make(name=name)
    assert ask_all(model)[0].text == "Yes."  # warnings are errors here
    assert model.notes == (f"{name} is deprecated: it ends on {date}.",)


def test_a_parameter_that_is_not_sent_is_noted(make: Any) -> None:
    (note,) = make("temperature=0.5").notes
    assert note.startswith("temperature is not sent")
    assert "version=2023-06-01" in note


def test_anthropic_wants_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    model = Anthropic(parse_spec("anthropic:claude-1"))  # what is remembered needs none
    with pytest.raises(UsageError, match=r"ANTHROPIC_API_KEY is not set.*export it"):
        ask_all(model)


def test_another_server_needs_no_key(
    loopback: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    loopback.reply(message("Yes."))
    assert ask_all(make())[0].text == "Yes."


def test_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Anthropic(parse_spec("anthropic:claude-1"))
    assert plain.identity == "anthropic:https://api.anthropic.com:claude-1"
    assert plain.lane == "anthropic:api.anthropic.com"
    assert plain.spec == "anthropic:claude-1"
    assert Anthropic(parse_spec("anthropic:claude-1"), label="mine").spec == "mine"
    assert Anthropic(parse_spec("anthropic:claude-1?usd_in=1&usd_out=5")).price == (1.0, 5.0)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://gateway.example")
    assert Anthropic(parse_spec("anthropic:claude-1")).lane == "anthropic:gateway.example"


@pytest.mark.parametrize(
    "query", ["seed=1", "temperature=2", "version=latest", "timeout=0", "max_tokens=0", "usd_in=1"]
)
def test_a_wrong_parameter(query: str) -> None:
    with pytest.raises(UsageError, match=query.partition("=")[0]):
        Anthropic(parse_spec(f"anthropic:claude-1?{query}"))
