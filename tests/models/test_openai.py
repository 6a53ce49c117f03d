"""The openai SDK against a server on this machine."""

from __future__ import annotations

import asyncio
import math
import socket
from typing import Any

import pytest

from surfcheck.errors import ModelError, SurfcheckError, UsageError
from surfcheck.models.openai import OpenAI
from surfcheck.models.provider import QuotaSpent, Reply, Transient, Unsupported
from surfcheck.models.spec import parse_spec
from surfcheck.records import Prompt
from surfcheck.roles import Ask
from tests.models.providers import ASK, ask_all, failure

KEY = "sk-proj-0123456789abcdefghij"
TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "Is water wet?"},
]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment, and nothing else there that the SDK reads."""
    for name in ("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def make(loopback: Any) -> Any:
    """Builds a model behind the loopback server from further parameters."""

    def make(query: str = "") -> OpenAI:
        more = f"&{query}" if query else ""
        return OpenAI(parse_spec(f"openai:model-1?base_url={loopback.url}/v1{more}"))

    return make


def completion(text: object = "Yes.", *, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """What the API sends."""
    content = {"role": "assistant", "content": text, **message}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "model-1-2026",
        "choices": [{"index": 0, "finish_reason": finish, "message": content, "logprobs": None}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
    }


def refusal(message: str = "no", **more: Any) -> dict[str, Any]:
    """What the API sends in place of an answer."""
    return {"error": {"message": message, "type": "invalid_request_error"} | more}


def test_what_is_sent_and_what_comes_back(loopback: Any, make: Any) -> None:
    loopback.reply(completion())
    model = make("temperature=0.5&top_p=0.9&max_tokens=16&seed=3")
    assert ask_all(model) == [
        Reply("Yes.", finish_reason="stop", prompt_tokens=9, completion_tokens=2)
    ]
    (request,) = loopback.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.json == {
        "model": "model-1",
        "messages": [{"role": "user", "content": "Is water wet?"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 16,
        "seed": 3,
    }


def test_without_parameters_none_is_sent(loopback: Any, make: Any) -> None:
    loopback.reply(completion())
    ask_all(make("logprobs=false"))
    assert set(loopback.requests[0].json) == {"model", "messages"}


def test_a_conversation_is_sent_as_it_is(loopback: Any, make: Any) -> None:
    loopback.reply(completion())
    ask_all(make(), Ask(Prompt.of(TALK)))
    assert loopback.requests[0].json["messages"] == TALK


def test_samples_have_seeds_of_their_own(loopback: Any, make: Any) -> None:
    loopback.reply(completion())
    ask_all(make("seed=7"), ASK, ASK._replace(sample=2))
    assert [request.json["seed"] for request in loopback.requests] == [7, 9]


def test_every_loop_has_a_client_of_its_own(loopback: Any, make: Any) -> None:
    loopback.reply(completion())
    model = make()
    with asyncio.Runner() as one, asyncio.Runner() as other:
        for runner in (one, other, one):
            runner.run(model.complete(ASK, {}))
        for runner in (one, other, one):
            runner.run(model.close())
    assert len(loopback.requests) == 3


def test_log_probabilities_are_summed(loopback: Any, make: Any) -> None:
    answer = completion()
    answer["choices"][0]["logprobs"] = {
        "content": [
            {"token": "Yes", "logprob": -0.25, "bytes": None, "top_logprobs": []},
            {"token": ".", "logprob": -0.5, "bytes": None, "top_logprobs": []},
        ],
        "refusal": None,
    }
    loopback.reply(answer)
    (reply,) = ask_all(make("logprobs=true"))
    assert loopback.requests[0].json["logprobs"] is True
    assert reply.log_probability == pytest.approx(-0.75)


@pytest.mark.parametrize("value", [-math.inf, math.nan])
def test_a_log_probability_that_is_no_number_is_not_kept(
    loopback: Any, make: Any, value: float
) -> None:
    answer = completion()
    answer["choices"][0]["logprobs"] = {"content": [{"token": "Yes", "logprob": value}]}
    loopback.reply(answer)
    assert ask_all(make("logprobs=true"))[0].log_probability is None


def test_a_refusal_has_a_field(loopback: Any, make: Any) -> None:
    loopback.reply(completion(None, refusal="I can't help with that."))
    (reply,) = ask_all(make())
    assert (reply.text, reply.finish_reason) == ("", "refusal")
    assert reply.refusal == "I can't help with that."


def test_what_a_filter_stopped_is_a_reply(loopback: Any, make: Any) -> None:
    loopback.reply(completion("Well, ", finish="content_filter"))
    loopback.reply(
        refusal("The response was filtered due to ...", code="content_filter"), status=400
    )
    loopback.reply(
        refusal("Invalid prompt: flagged as potentially violating our usage policy."), status=400
    )
    replies = ask_all(make(), ASK, ASK, ASK)
    assert [reply.finish_reason for reply in replies] == ["filter"] * 3
    assert [reply.text for reply in replies] == ["Well, ", "", ""]
    assert replies[0].refusal == "content_filter"
    assert "filtered" in str(replies[1].refusal)


@pytest.mark.parametrize("finish", ["length", "tool_calls"])
def test_other_reasons_to_finish_are_kept(loopback: Any, make: Any, finish: str) -> None:
    loopback.reply(completion(finish=finish))
    assert ask_all(make())[0].finish_reason == finish


def test_usage_may_be_missing(loopback: Any, make: Any) -> None:
    loopback.reply({"choices": [{"message": {"content": "Yes."}}]})
    assert ask_all(make()) == [Reply("Yes.")]


ERRORS = [
    (429, refusal(code="rate_limit_exceeded"), Transient, "answers 429"),
    (500, "<html>Internal Server Error</html>", Transient, "answers 500"),
    (503, refusal("overloaded"), Transient, "answers 503: overloaded"),
    (429, refusal("no", code="insufficient_quota"), QuotaSpent, "is used up: no"),
    (401, refusal(f"Incorrect API key provided: {KEY[:14]}***."), UsageError, "OPENAI_API_KEY"),
    (403, refusal(f"{KEY} may not"), UsageError, "OPENAI_API_KEY"),
    (404, refusal("no", code="model_not_found"), UsageError, "has no model 'model-1'"),
    (404, {"detail": "Not Found"}, UsageError, "such as https://api.openai.com/v1"),
    (400, refusal("no", code="context_length_exceeded"), ModelError, "prompt is longer"),
    (400, refusal("no messages"), ModelError, "(400): no messages"),
]


@pytest.mark.parametrize(("status", "body", "kind", "said"), ERRORS)
def test_errors(
    loopback: Any, make: Any, status: int, body: object, kind: type[SurfcheckError], said: str
) -> None:
    loopback.reply(body, status=status, headers={"retry-after": "7"})
    error = failure(make())
    assert type(error) is kind
    assert said in str(error)
    if isinstance(error, Transient):
        assert (error.after, error.throttled) == (7.0, status != 500)
    assert len(loopback.requests) == 1  # the SDK does not try again


def test_a_key_is_never_repeated(loopback: Any, make: Any) -> None:
    loopback.reply(refusal(f"bad request with \x1b[31mAuthorization: Bearer {KEY}"), status=400)
    model = make()
    error = failure(model)
    assert str(error).endswith("(400): bad request with [31mAuthorization: ***")
    assert "0123456789" not in repr(model) + model.identity + model.lane + model.spec


REFUSED = [
    (400, refusal("no", code="unsupported_value", param="temperature"), "temperature"),
    (403, refusal("You are not allowed to request logprobs from this model"), "logprobs"),
]


@pytest.mark.parametrize(("status", "body", "parameter"), REFUSED)
def test_a_parameter_that_is_not_taken_is_named(
    loopback: Any, make: Any, status: int, body: dict[str, Any], parameter: str
) -> None:
    loopback.reply(body, status=status)
    error = failure(make("temperature=0.5&top_p=0.9&seed=1&logprobs=true"))
    assert isinstance(error, Unsupported)
    assert error.parameter == parameter


def test_a_parameter_that_was_not_sent_is_not_blamed(loopback: Any, make: Any) -> None:
    loopback.reply(refusal("Unsupported: 'system' role, or seed", param="messages"), status=400)
    loopback.reply(refusal("Unsupported seed"), status=400)
    assert type(failure(make("seed=1"))) is ModelError
    assert type(failure(make("temperature=1"))) is ModelError


def no_limit(name: str) -> dict[str, Any]:
    """What a server says that does not know this name of the limit."""
    return refusal(f"Unsupported parameter: '{name}'.", code="unsupported_parameter", param=name)


def test_the_other_name_of_max_tokens_is_tried_and_kept(loopback: Any, make: Any) -> None:
    loopback.reply(no_limit("max_tokens"), status=400)
    loopback.reply(completion())
    model = make("max_tokens=5")
    ask_all(model, ASK, ASK)
    sent = [{"max_tokens", "max_completion_tokens"} & set(r.json) for r in loopback.requests]
    assert sent == [{"max_tokens"}, {"max_completion_tokens"}, {"max_completion_tokens"}]


def test_max_tokens_is_given_up_when_both_names_are_refused(loopback: Any, make: Any) -> None:
    loopback.reply(no_limit("max_tokens"), status=400)
    loopback.reply(no_limit("max_completion_tokens"), status=400)
    error = failure(make("max_tokens=5"))
    assert isinstance(error, Unsupported)
    assert error.parameter == "max_tokens"


def test_openai_itself_knows_max_completion_tokens(
    loopback: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", loopback.url)  # plain http, so that the proxy can answer
    loopback.reply(completion())
    ask_all(OpenAI(parse_spec("openai:model-1?max_tokens=5&base_url=http://api.openai.com/v1")))
    (request,) = loopback.requests
    assert request.path == "http://api.openai.com/v1/chat/completions"
    assert request.json["max_completion_tokens"] == 5
    assert "max_tokens" not in request.json


MALFORMED = [
    ("<!DOCTYPE html><p>Sign in", Transient),
    ('{"choices": [{"message": {"content": "Ye', Transient),
    ("", Transient),
    ("oops", ModelError),
    ('{"choices": []}', ModelError),
    ("{}", ModelError),
    (completion(None), ModelError),
    (completion(5), ModelError),
    (completion([{"type": "text", "text": "Yes."}]), ModelError),
    (completion("", finish="length"), ModelError),
    (completion("Ye", finish="error"), Transient),
]


@pytest.mark.parametrize(("body", "kind"), MALFORMED)
def test_a_malformed_answer_is_no_answer(
    loopback: Any, make: Any, body: object, kind: type[ModelError]
) -> None:
    loopback.reply(body)
    assert type(failure(make())) is kind


def test_an_error_may_come_as_a_success(loopback: Any, make: Any) -> None:
    loopback.reply(refusal("Upstream is overloaded", code=429))
    loopback.reply(refusal("Upstream failed"))
    model = make()
    for throttled in (True, False):
        error = failure(model)
        assert isinstance(error, Transient)
        assert error.throttled is throttled


def test_an_answer_cut_midway_is_transient(loopback: Any, make: Any) -> None:
    loopback.reply(completion(), cut=True)
    error = failure(make())
    assert isinstance(error, Transient)
    assert "hung up" in str(error)
    assert len(loopback.requests) == 1


def test_a_slow_answer_is_transient(loopback: Any, make: Any) -> None:
    loopback.reply(completion(), delay=30)
    error = failure(make("timeout=0.1"))
    assert isinstance(error, Transient)
    assert str(error).endswith("gave no answer in 0.1 s")


def test_a_host_that_can_not_be_reached_is_named() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        error = failure(OpenAI(parse_spec(f"openai:model-1?base_url=http://{host}/v1")))
    assert isinstance(error, Transient)
    assert str(error) == f"{host} can't be reached (Connection refused): see that it runs"


def test_a_prompt_that_is_no_unicode(loopback: Any, make: Any) -> None:
    with pytest.raises(ModelError, match="not Unicode"):
        ask_all(make(), Ask(Prompt.of("\ud800")))
    assert loopback.requests == []


def test_openai_wants_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    model = OpenAI(parse_spec("openai:model-1"))  # what is remembered needs none
    with pytest.raises(UsageError, match=r"OPENAI_API_KEY is not set.*export it"):
        ask_all(model)


def test_another_server_needs_no_key(
    loopback: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", " ")
    loopback.reply(completion())
    assert ask_all(make())[0].text == "Yes."
    assert KEY not in loopback.requests[0].headers["authorization"]


def test_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = OpenAI(parse_spec("openai:gpt?temperature=1"))
    assert plain.identity == "openai:https://api.openai.com/v1:gpt"
    assert plain.lane == "openai:api.openai.com"
    assert plain.spec == "openai:gpt?temperature=1"
    assert plain.parameters == {"temperature": 1.0}
    assert OpenAI(parse_spec("openai:gpt"), label="mine").spec == "mine"
    local = OpenAI(parse_spec("openai:gpt?base_url=http://LOCALHOST:8000/v1/"))
    assert local.identity == "openai:http://localhost:8000/v1:gpt"
    assert local.lane == "openai:localhost:8000"
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.example/v1")
    assert OpenAI(parse_spec("openai:gpt")).lane == "openai:gateway.example"


def test_prices() -> None:
    assert OpenAI(parse_spec("openai:gpt")).price is None
    assert OpenAI(parse_spec("openai:gpt?usd_in=1.5&usd_out=6")).price == (1.5, 6.0)
    with pytest.raises(UsageError, match="usd_in and usd_out"):
        OpenAI(parse_spec("openai:gpt?usd_in=1.5"))


def test_no_secret_in_a_spec_is_repeated() -> None:
    for query in ("api_key=secret", "base_url=http://me:secret@host/v1&temperature=high"):
        with pytest.raises(UsageError) as caught:
            OpenAI(parse_spec(f"openai:gpt?{query}"))
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "query", ["top_k=1", "temperature=hot", "logprobs=5", "timeout=0", "max_tokens=0"]
)
def test_a_wrong_parameter(query: str) -> None:
    with pytest.raises(UsageError, match=query.partition("=")[0]):
        OpenAI(parse_spec(f"openai:gpt?{query}"))
