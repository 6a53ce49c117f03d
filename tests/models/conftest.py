"""Tiny real checkpoints, made on the spot and saved as any other."""

from __future__ import annotations

import json
import math
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from surfcheck.models.checkpoint import quiet

TEMPLATE = (
    "{% for message in messages %}"
    "<|{{ message.role }}|>{{ message.content }}<|end|>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
CORPUS = [
    "Is it true that water freezes at zero degrees? yes no maybe",
    "Paris is the capital of France, right?\nUser: Assistant: System:",
    "The quick brown fox jumps over the lazy dog. Yes, No",
]
# Every arrow of a chain: from a token to its successors and their probabilities.
Chain = Mapping[str, Mapping[str, float]]


def make_tokenizer(*, template: bool = True) -> PreTrainedTokenizerFast:
    """A byte-level BPE of some 400 tokens in which the words of CORPUS are one token each."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=SPECIAL[0],
        eos_token=SPECIAL[1],
        extra_special_tokens=SPECIAL[2:],
    )
    if template:
        fast.chat_template = TEMPLATE
    return fast


def save(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, **generation: Any
) -> Path:
    """Write a checkpoint as `save_pretrained` does."""
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, **generation
    )
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def sizes(tokenizer: PreTrainedTokenizerFast, **changes: Any) -> dict[str, Any]:
    """What Llama and OLMo 2 configurations have in common."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": 128,
        "initializer_range": 0.3,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
    } | changes


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Matrices this small are faster on one thread, and far faster on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama with random weights: its answers depend on every token of the prompt."""
    torch.manual_seed(1)
    tokenizer = make_tokenizer()
    model = LlamaForCausalLM(LlamaConfig(**sizes(tokenizer)))
    return save(tmp_path_factory.mktemp("llama"), model, tokenizer)


@pytest.fixture(scope="session")
def olmo2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OLMo 2 with random weights."""
    torch.manual_seed(2)
    tokenizer = make_tokenizer()
    model = Olmo2ForCausalLM(Olmo2Config(**sizes(tokenizer)))
    return save(tmp_path_factory.mktemp("olmo2"), model, tokenizer)


@pytest.fixture(scope="session")
def make_chain(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a Llama whose next token depends on the last one alone, with known probabilities."""

    def make(chain: Chain, *, template: bool = True, **generation: Any) -> Path:
        tokenizer = make_tokenizer(template=template)
        size = len(tokenizer)
        config = sizes(tokenizer, hidden_size=size, num_hidden_layers=1, num_attention_heads=1)
        config["head_dim"] = 8
        model = LlamaForCausalLM(LlamaConfig(**config))
        layer = model.model.layers[0]
        with torch.no_grad():
            layer.self_attn.o_proj.weight.zero_()  # the layer adds nothing
            layer.mlp.down_proj.weight.zero_()
            model.model.embed_tokens.weight.copy_(torch.eye(size))
            scores = torch.full((size, size), -40.0)  # [next, last]
            for last, successors in chain.items():
                for following, probability in successors.items():
                    scores[one_id(tokenizer, following), one_id(tokenizer, last)] = math.log(
                        probability
                    )
            # A one-hot state leaves the final norm with length sqrt(size).
            model.lm_head.weight.copy_(scores / math.sqrt(size))
        return save(tmp_path_factory.mktemp("chain"), model, tokenizer, **generation)

    return make


def one_id(tokenizer: PreTrainedTokenizerFast, text: str) -> int:
    """The id of a text that is one token."""
    ids = tokenizer(text)["input_ids"]
    assert len(ids) == 1, f"{text!r} is {len(ids)} tokens"
    return int(ids[0])


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Writes a module into the working directory; forgets what was imported afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield lambda name, source: (tmp_path / f"{name}.py").write_text(source) and None
    for name in set(sys.modules) - before:
        del sys.modules[name]


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    path: str
    """With the query, if there is one."""
    headers: Mapping[str, str]
    """Names in lower case."""
    json: Any
    """The body; None where there is none."""


@dataclass(frozen=True)
class Answer:
    """What the loopback server says."""

    body: bytes
    status: int
    headers: Mapping[str, str]
    delay: float
    cut: bool


@dataclass
class Loopback:
    """A provider's server on this machine that says what a test wrote down for it."""

    url: str = ""
    """Scheme, host and port, without a path."""
    requests: list[Request] = field(default_factory=list)
    """Every request, in the order of arrival."""
    script: list[Answer] = field(default_factory=list)
    """What is said, in order; the last one again and again."""
    over: threading.Event = field(default_factory=threading.Event)
    """Set when the test is: nobody waits any longer."""

    def reply(
        self,
        body: object = "",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
        cut: bool = False,
    ) -> None:
        """Write down one more answer: text as it stands, anything else as JSON.

        `delay` is in seconds; `cut` hangs up after half of the body.
        """
        kind = "text/html" if isinstance(body, str) else "application/json"
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.script.append(
            Answer(content, status, {"content-type": kind} | dict(headers or {}), delay, cut)
        )

    def take(self, request: Request) -> Answer:
        """The answer to the request that has just come."""
        self.requests.append(request)
        return self.script[min(len(self.requests), len(self.script)) - 1]


class LoopbackServer(ThreadingHTTPServer):
    """One thread a connection; a client that hangs up is nobody's error."""

    daemon_threads = True

    def __init__(self, loopback: Loopback) -> None:
        self.loopback = loopback
        super().__init__(("127.0.0.1", 0), LoopbackHandler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class LoopbackHandler(BaseHTTPRequestHandler):
    """Reads a request, records it, says what is written down."""

    protocol_version = "HTTP/1.1"
    server: LoopbackServer

    def log_message(self, *_: Any) -> None:
        """Nothing on stderr."""

    def serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        content = self.rfile.read(int(headers.get("content-length", 0)))
        asked = json.loads(content) if content else None
        loopback = self.server.loopback
        answer = loopback.take(Request(self.command, self.path, headers, asked))
        loopback.over.wait(answer.delay)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(answer.body)))
        self.end_headers()
        if answer.cut:
            self.wfile.write(answer.body[: len(answer.body) // 2])
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self.wfile.write(answer.body)

    do_GET = do_POST = serve  # noqa: N815 (http.server's names)


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """An HTTP server on 127.0.0.1 that answers as scripted and records what it was asked."""
    loopback = Loopback()
    with LoopbackServer(loopback) as server:
        loopback.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.005})
        thread.start()
        yield loopback
        loopback.over.set()
        server.shutdown()
        thread.join()
