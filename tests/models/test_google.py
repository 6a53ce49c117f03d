"""google-genai itself against a server on this machine."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import certifi
import pytest

from surfcheck.errors import ModelError, UsageError
from surfcheck.models.google import Google
from surfcheck.models.provider import QuotaSpent, Reply, Transient, Unsupported
from surfcheck.models.spec import parse_spec
from surfcheck.records import Prompt
from surfcheck.roles import Ask
from tests.models.providers import ask, fails

KEY = "AIzaSyTest-0123456789abcdefghijklmnopqrs"
TYPE = "type.googleapis.com/google.rpc."
USAGE = {"promptTokenCount": 7, "candidatesTokenCount": 3, "thoughtsTokenCount": 40}
SAMPLING = {"temperature": 0.5, "top_p": 0.9, "max_tokens": 64, "seed": 3, "logprobs": True}
TALK = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "Hi é"},
    {"role": "assistant", "content": "Hello."},
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Go on."},
]
Make = Callable[..., Google]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One certificate: reading all that there are takes longer than these tests."""
    first, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    path = tmp_path_factory.mktemp("tls") / "one.pem"
    path.write_text(first + end)
    return path


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, authority: Path) -> None:
    """A key; and Vertex, which is not asked."""
    for name in ("GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_GENAI_API_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))


@pytest.fixture
def make(loopback: Any) -> Make:
    """A provider that asks the loopback server."""

    def make(query: str = "", name: str = "gemini-x") -> Google:
        base = f"base_url={loopback.url}"
        return Google(parse_spec(f"google:{name}?{'&'.join(filter(None, (base, query)))}"))

    return make


def says(text: str = "Yes.", **candidate: Any) -> dict[str, Any]:
    """An answer as the API words it."""
    content = {"role": "model", "parts": [{"text": text}]}
    return {
        "candidates": [{"content": content, "finishReason": "STOP", "index": 0} | candidate],
        "usageMetadata": USAGE,
    }


def refusal(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    """An error as the API words it."""
    return {"error": {"code": code, "message": message, "status": status, "details": [*details]}}


def test_question_goes_out_and_answer_comes_back(loopback: Any, make: Make) -> None:
    loopback.reply(says())
    assert ask(make()) == Reply("Yes.", "stop", prompt_tokens=7, completion_tokens=43)
    (request,) = loopback.requests
    assert request.path == "/v1/models/gemini-x:generateContent"
    assert request.headers["x-goog-api-key"] == KEY
    contents = [{"role": "user", "parts": [{"text": "Is water wet?"}]}]
    assert request.json == {"contents": contents, "generationConfig": {}}


def test_system_and_turns_keep_their_places(loopback: Any, make: Make) -> None:
    loopback.reply(says())
    ask(make(), TALK)
    body = loopback.requests[0].json
    assert body["systemInstruction"]["parts"] == [{"text": "Be short.\n\nBe kind."}]
    said = [(content["role"], content["parts"][0]["text"]) for content in body["contents"]]
    assert said == [("user", "Hi é"), ("model", "Hello."), ("user", "Go on.")]


def test_parameters_go_by_google_s_names(loopback: Any, make: Make) -> None:
    loopback.reply(says())
    provider = make("temperature=0.5&top_p=0.9&max_tokens=64&seed=3&logprobs=true&timeout=9")
    assert provider.parameters == SAMPLING
    ask(provider, sample=2)
    sent = {"temperature": 0.5, "topP": 0.9, "maxOutputTokens": 64, "responseLogprobs": True}
    assert loopback.requests[0].json["generationConfig"] == sent | {"seed": 5}
    assert loopback.requests[0].headers["x-server-timeout"] == "9"


def test_log_probability_is_that_of_the_whole_answer(loopback: Any, make: Make) -> None:
    chosen = [{"token": "Y", "logProbability": -0.25}, {"token": "es"}, {"logProbability": -0.5}]
    for result in (
        {"chosenCandidates": chosen},
        {"chosenCandidates": chosen, "logProbabilitySum": -2.5},
        {"chosenCandidates": [{"logProbability": "-Infinity"}]},
    ):
        loopback.reply(says(logprobsResult=result))
    provider = make("logprobs=true")
    assert [ask(provider).log_probability for _ in range(3)] == [-0.75, -2.5, None]


def test_thoughts_and_what_is_no_text_are_left_out(loopback: Any, make: Make) -> None:
    parts = [
        {"text": "Let me think.", "thought": True},
        {"text": "Ye"},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"text": "s.", "thoughtSignature": "c2ln"},
    ]
    loopback.reply(says(content={"role": "model", "parts": parts}))
    assert ask(make()).text == "Yes."


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("MAX_TOKENS", "length"), ("CONTINUATION", "length"), ("A_NEW_WORD", "a_new_word")],
)
def test_end_of_the_answer_is_told(loopback: Any, make: Make, reason: str, expected: str) -> None:
    loopback.reply(says(finishReason=reason, continuationToken="dG9rZW4="))
    reply = ask(make())
    assert (reply.text, reply.finish_reason) == ("Yes.", expected)
    assert len(loopback.requests) == 1


@pytest.mark.parametrize("reason", ["SAFETY", "RECITATION", "PROHIBITED_CONTENT", "BLOCKLIST"])
def test_filtered_answer_says_why(loopback: Any, make: Make, reason: str) -> None:
    loopback.reply(says("Half", finishReason=reason, finishMessage="Flagged."))
    loopback.reply(says(finishReason=reason, content={}))
    provider = make()
    assert ask(provider) == Reply("Half", "filter", 7, 43, refusal=f"{reason}: Flagged.")
    assert ask(provider) == Reply("", "filter", 7, 43, refusal=reason)


def test_blocked_prompt_says_why(loopback: Any, make: Make) -> None:
    feedback = {"blockReason": "PROHIBITED_CONTENT", "safetyRatings": []}
    loopback.reply({"promptFeedback": feedback, "usageMetadata": {"promptTokenCount": 7}})
    assert ask(make()) == Reply("", "filter", 7, 0, refusal="PROHIBITED_CONTENT")


def test_model_may_say_nothing(loopback: Any, make: Make) -> None:
    loopback.reply({"candidates": [{"finishReason": "STOP"}]})
    assert ask(make()) == Reply("", "stop")


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("MAX_TOKENS", ModelError), ("MALFORMED_RESPONSE", Transient), ("OTHER", Transient)],
)
def test_silence_for_another_reason_is_no_answer(
    loopback: Any, make: Make, reason: str, kind: Any
) -> None:
    loopback.reply(says("", finishReason=reason))
    fails(make(), kind)


def test_throttling_says_how_long_to_wait(loopback: Any, make: Make) -> None:
    message = "You exceeded your current quota, please check your plan and billing details."
    minute = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]}
    retry = {"@type": f"{TYPE}RetryInfo", "retryDelay": "34.5s"}
    loopback.reply(refusal(429, "RESOURCE_EXHAUSTED", message, minute, retry), status=429)
    loopback.reply({"error": {"code": 429}}, status=429, headers={"retry-after": "7"})
    loopback.reply("<html>Slow down</html>", status=429)
    provider = make()
    errors = [fails(provider, Transient) for _ in range(3)]
    assert [(e.throttled, e.after) for e in errors] == [(True, 34.5), (True, 7), (True, None)]


@pytest.mark.parametrize("said", ["credits are depleted", "monthly spending cap", "PerDayPerUser"])
def test_spent_quota_is_not_waited_for(loopback: Any, make: Make, said: str) -> None:
    failure = {"@type": f"{TYPE}QuotaFailure", "violations": [{"quotaId": f"Requests{said}"}]}
    retry = {"@type": f"{TYPE}RetryInfo", "retryDelay": "12s"}
    loopback.reply(refusal(429, "RESOURCE_EXHAUSTED", f"The {said}.", failure, retry), status=429)
    assert said in str(fails(make(), QuotaSpent))


@pytest.mark.parametrize("status", [408, 499, 500, 502, 503, 504])
def test_server_s_error_is_for_the_engine(loopback: Any, make: Make, status: int) -> None:
    loopback.reply(refusal(status, "UNAVAILABLE", "Overloaded.\nTry later."), status=status)
    error = fails(make(), Transient)
    assert error.throttled is (status == 503)
    assert str(error).endswith(f" answers {status}: Overloaded. Try later.")
    assert len(loopback.requests) == 1  # the SDK asked once


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("logprobs=true", "Logprobs is not enabled for models/gemini-x"),
        ("temperature=3", "* GenerateContentRequest.generation_config.temperature: too much"),
        ("top_p=1", "Invalid value at 'generation_config.top_p'"),
        ("max_tokens=99", "it has a maxOutputTokens value of 99"),
        ("seed=1", "Unknown name \"seed\" at 'generation_config': Cannot find field."),
    ],
)
def test_refused_parameter_is_named(loopback: Any, make: Make, given: str, message: str) -> None:
    loopback.reply(refusal(400, "INVALID_ARGUMENT", message), status=400)
    assert fails(make(given), Unsupported).parameter == given.partition("=")[0]


def test_parameter_may_be_named_in_the_details_alone(loopback: Any, make: Make) -> None:
    field = {"field": "generation_config.top_p", "description": "no"}
    details = {"@type": f"{TYPE}BadRequest", "fieldViolations": [field]}
    loopback.reply(refusal(400, "INVALID_ARGUMENT", "Bad request.", details), status=400)
    assert fails(make("temperature=1&top_p=0.5"), Unsupported).parameter == "top_p"
    # Never one that was not sent: dropping it would change nothing.
    fails(make("temperature=1"), ModelError)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(400, "API_KEY_INVALID"), (401, "UNAUTHENTICATED"), (403, "CONSUMER_SUSPENDED")],
)
def test_refused_key_is_not_shown(loopback: Any, make: Make, status: int, reason: str) -> None:
    info = {"@type": f"{TYPE}ErrorInfo", "reason": reason, "domain": "googleapis.com"}
    message = f"Permission denied: Consumer 'api_key:{KEY[:30]}…' has been suspended."
    loopback.reply(refusal(status, "PERMISSION_DENIED", message, info), status=status)
    shown = str(fails(make(), UsageError))
    assert "GEMINI_API_KEY" in shown
    assert f"({status} {reason}): set a valid key" in shown
    assert KEY[:6] not in shown


def test_echoed_key_is_struck_out(loopback: Any, make: Make) -> None:
    loopback.reply(refusal(418, "TEAPOT", "x" * 180 + f" key {KEY} is short"), status=418)
    assert str(fails(make(), ModelError)).endswith(" key *** is short")


@pytest.mark.parametrize(
    ("status", "word", "message", "kind", "shown"),
    [
        (404, "NOT_FOUND", "gemini-x is not found", UsageError, "no model 'gemini-x'"),
        (400, "FAILED_PRECONDITION", "Location not supported", UsageError, "Location not"),
        (400, "INVALID_ARGUMENT", "input token count exceeds", ModelError, "longer than the model"),
        (413, "TOO_LARGE", "Request payload size exceeds", ModelError, "longer than the model"),
        (400, "INVALID_ARGUMENT", "Please use a valid role", ModelError, "a valid role"),
    ],
)
def test_other_refusals(
    loopback: Any, make: Make, status: int, word: str, message: str, kind: Any, shown: str
) -> None:
    loopback.reply(refusal(status, word, message), status=status)
    assert shown in str(fails(make("max_tokens=5"), kind))


def test_redirect_is_not_followed_with_the_key(loopback: Any, make: Make) -> None:
    loopback.reply("", status=307, headers={"location": f"{loopback.url}/elsewhere"})
    fails(make(), ModelError)
    assert len(loopback.requests) == 1


def test_cut_answers_are_asked_again(loopback: Any, make: Make) -> None:
    loopback.reply(says(), cut=True)
    loopback.reply('{"candidates": [{"content": {"parts": [{"te')
    loopback.reply("")
    loopback.reply("<html>Sign in</html>")
    loopback.reply({})
    provider = make()
    for _ in range(5):
        fails(provider, Transient)
    assert len(loopback.requests) == 5


@pytest.mark.parametrize("status", [200, 400])
def test_malformed_answer_is_an_error(loopback: Any, make: Make, status: int) -> None:
    number = {"candidates": [{"content": {"parts": [{"text": 1}]}}], "error": {"status": 5}}
    for body in (None, [], {"candidates": "x", "error": "x"}, {"usageMetadata": []}, number):
        loopback.reply(body, status=status)
    provider = make("seed=1")
    for _ in loopback.script:
        fails(provider, ModelError)


def test_slow_answer_is_given_up_even_if_it_trickles() -> None:
    """httpx's time-out begins anew with every byte."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            connection, _ = listener.accept()
            with connection, suppress(ConnectionError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n")
                while not over.wait(0.05):
                    connection.sendall(b" ")

        thread = threading.Thread(target=trickle)
        thread.start()
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        try:
            provider = Google(parse_spec(f"google:m?base_url={address}&timeout=0.2"))
            assert "0.2 s" in str(fails(provider, Transient))
        finally:
            over.set()
            thread.join()


def test_server_that_is_gone_is_told_at_once() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        provider = Google(parse_spec(f"google:m?base_url={address}"))
        assert "can't be reached" in str(fails(provider, Transient))


def test_question_that_the_sdk_refuses_is_an_error(make: Make) -> None:
    with pytest.raises(ModelError, match="can't be asked this"):
        ask(make(), TALK[:1])
    with pytest.raises(UsageError, match="no model"):
        make(name="../files")


def test_key_is_asked_for_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, expected in ((" ", "GEMINI_API_KEY is not set"), (f"{KEY}\nx", "characters")):
        monkeypatch.setenv("GEMINI_API_KEY", key)
        assert expected in str(fails(Google(parse_spec("google:gemini-x")), UsageError))


def test_keys_take_precedence_as_in_the_sdk(
    loopback: Any, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "other")
    loopback.reply(says())
    ask(make())
    assert loopback.requests[0].headers["x-goog-api-key"] == "other"


def test_names_of_the_model_hold_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Google(parse_spec("google:m?temperature=1&usd_in=0.3&usd_out=2.5"), label="mine")
    assert (provider.spec, provider.price) == ("mine", (0.3, 2.5))
    assert provider.identity == "google:https://generativelanguage.googleapis.com:m"
    assert provider.lane == "google:generativelanguage.googleapis.com"
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9/gateway/")
    provider = Google(parse_spec("google:m"))
    assert provider.identity == "google:http://127.0.0.1:9/gateway:m"
    assert (provider.lane, provider.price) == ("google:127.0.0.1:9", None)
    with pytest.raises(UsageError, match="password") as caught:
        Google(parse_spec(f"google:m?base_url=http://me:{KEY}@127.0.0.1:9"))
    assert KEY not in str(caught.value)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_questions_overlap_and_another_loop_does_not_matter(loopback: Any, make: Make) -> None:
    for delay in (0.5, 0.5, 0.5, 0.5, 0.0):
        loopback.reply(says(), delay=delay)
    provider = make()

    async def many() -> list[Reply]:  # and nobody closes the connections
        return await asyncio.gather(*(provider.complete(Ask(Prompt.of("hi")), {}) for _ in "1234"))

    began = time.monotonic()
    assert [reply.text for reply in asyncio.run(many())] == ["Yes."] * 4
    assert time.monotonic() - began < 1.6
    assert ask(provider).text == "Yes."
    gc.collect()
