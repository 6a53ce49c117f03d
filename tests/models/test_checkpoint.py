"""Loading: whole, safe and silent, from folders and from a hub."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils import logging as transformers_logging

from surfcheck.errors import ModelError, UsageError
from surfcheck.models import load
from surfcheck.models.checkpoint import load_checkpoint, quiet
from surfcheck.models.location import fingerprint
from surfcheck.records import Prompt
from surfcheck.roles import Ask


@pytest.fixture
def copy(llama: Path, tmp_path: Path) -> Path:
    return shutil.copytree(llama, tmp_path / "copy")


def test_a_checkpoint_is_ready_to_read(llama: Path) -> None:
    checkpoint = load_checkpoint(llama)
    assert checkpoint.path == str(llama)
    assert checkpoint.fingerprint == fingerprint(llama)
    assert checkpoint.longest == 128
    assert (checkpoint.notes, checkpoint.stops) == ((), ())
    assert checkpoint.model.dtype == (
        torch.bfloat16 if torch.cuda.is_available() else torch.float32
    )
    assert not checkpoint.model.training
    assert not any(p.requires_grad for p in checkpoint.model.parameters())


def test_dtype_is_what_was_asked_for(llama: Path) -> None:
    assert load_checkpoint(llama, dtype="bfloat16", device="cpu").model.dtype == torch.bfloat16


def test_no_chat_template_is_said_once(
    make_chain: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_chain({}, template=False)
    with caplog.at_level(logging.WARNING, logger="surfcheck"):
        checkpoint = load_checkpoint(folder)
    (note,) = checkpoint.notes
    assert caplog.messages == [note]
    assert note.startswith(f"{folder} has no chat template; it is asked in plain 'User:")


@pytest.mark.parametrize("device", ["cuda:99", "toaster"])
def test_a_device_that_is_not_there(device: str, llama: Path) -> None:
    with pytest.raises(UsageError, match=f"^no device '{device}' here .*; leave it out"):
        load_checkpoint(llama, device=device)


def _drop_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _own_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "novel", "auto_map": {"AutoModelForCausalLM": "novel.Novel"}}
    config["auto_map"]["AutoConfig"] = "novel.Config"
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "novel.py").write_text("raise SystemExit('ran')")


def _config(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "config.json").write_text(text)


def _damage(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\0" * 64)


def _no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (_drop_weight, ModelError, r"1 weights are missing \(model.layers.1.mlp.up_proj.weight"),
        (_damage, ModelError, "its model can't be loaded: "),
        (_no_tokenizer, ModelError, "its tokenizer can't be loaded: "),
        (_config("{"), ModelError, "can't be loaded: "),
        (_config('{"model_type": "novel"}'), ModelError, "can't be loaded: .*novel"),
        (_own_code, UsageError, "runs its own code, which is never done"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(
    change: Callable[[Path], object], kind: type[Exception], said: str, copy: Path
) -> None:
    change(copy)
    with pytest.raises(kind, match=said) as caught:
        load_checkpoint(copy)
    message = str(caught.value)
    assert message.startswith(f"{copy}: ")
    assert "\n" not in message
    assert len(message) < 400


def test_nothing_reaches_the_terminal(
    copy: Path, llama: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    _drop_weight(copy)
    ask = Ask(Prompt.of("Is it true?"))
    load(f"hf:{llama}?max_tokens=4&temperature=2&top_k=3&device=cpu").ask([ask])
    with pytest.raises(ModelError):
        load(f"hf:{copy}").ask([ask])
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []


def test_quiet_leaves_everything_as_it_was() -> None:
    def state() -> tuple[int, bool]:
        return (
            transformers_logging.get_verbosity(),
            transformers_logging.is_progress_bar_enabled(),
        )

    before = state()
    with quiet():
        warnings.warn("not seen", UserWarning, stacklevel=1)
        assert state() == (logging.ERROR, False)
    assert state() == before


COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(BaseHTTPRequestHandler):
    """Serves one folder as `tiny/chat`; `tiny/gated` is gated and `tiny/empty` has no files."""

    def __init__(self, folder: Path, *request: Any) -> None:
        self.folder = folder
        super().__init__(*request)

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.wfile.write(self.answer())

    def answer(self) -> bytes:
        if self.path.startswith("/api/models/tiny/chat/tree/"):
            return self.refuse(404, "EntryNotFound")
        name, _, file = self.path.strip("/").partition("/resolve/")
        path = self.folder / file.partition("/")[2]
        if name == "tiny/gated":
            return self.refuse(403, "GatedRepo")
        if name not in ("tiny/chat", "tiny/empty"):
            return self.refuse(404, "RepoNotFound")
        if name == "tiny/empty" or not path.is_file():
            return self.refuse(404, "EntryNotFound")
        content = path.read_bytes()
        headers = {"ETag": f'"{zlib.crc32(content):x}"', "X-Repo-Commit": COMMIT}
        self.head(200, headers | {"Content-Length": str(len(content))})
        return content

    def refuse(self, status: int, code: str) -> bytes:
        self.head(status, {"X-Error-Code": code, "Content-Length": "0"})
        return b""

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(llama: Path) -> Iterator[str]:
    """The address of a hub on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, llama)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


FROM_HUB = """
import surfcheck.models, sys
print(sorted({"torch", "transformers", "huggingface_hub"} & set(sys.modules)))
from surfcheck.errors import SurfcheckError
from surfcheck.models.checkpoint import load_checkpoint
from surfcheck.models.local import Local
from surfcheck.models.spec import parse_spec
for name in ("tiny/chat", "tiny/gated", "tiny/empty", "tiny/none"):
    try:
        print(Local(parse_spec(f"hf:{name}")).identity)
        print(load_checkpoint(name).model.config.model_type)
    except SurfcheckError as error:
        print(type(error).__name__, error)
"""


def test_a_fresh_process_loads_a_hub_id_at_one_commit_and_no_library_before(
    hub: str, tmp_path: Path
) -> None:
    environment = os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path)}
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN"):
        environment.pop(variable, None)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", FROM_HUB],
        capture_output=True,
        text=True,
        check=False,
        env=environment | {"OMP_NUM_THREADS": "1"},
    )
    heavy, identity, loaded, gated, empty, none = done.stdout.splitlines()
    assert heavy == "[]"
    assert identity.startswith(f"hf:{COMMIT}:")
    assert loaded == "llama"
    assert gated.startswith("UsageError tiny/gated: is gated; accept its terms")
    assert empty == "UsageError tiny/empty: is no checkpoint on the hub (no config.json)"
    assert none == "UsageError tiny/none: no such folder, and no such model on the hub"
    assert done.stderr == ""
