"""Which checkpoint it is, and what is none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from surfcheck.errors import ModelError, UsageError
from surfcheck.models import location
from surfcheck.models.location import fingerprint, locate


@pytest.fixture
def copy(llama: Path, tmp_path: Path) -> Path:
    """A checkpoint of one's own to change."""
    return shutil.copytree(llama, tmp_path / "copy")


def test_a_copy_is_the_same_checkpoint(llama: Path, copy: Path, olmo2: Path) -> None:
    assert fingerprint(copy) == fingerprint(llama) != fingerprint(olmo2)


def test_a_folder_is_found_as_it_was_named(llama: Path) -> None:
    found = locate(str(llama))
    assert (found.name, found.folder, found.commit) == (str(llama), llama, None)


def _write(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def _change_json(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {"changed": 1}))

    return change


def _change_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["model.layers.1.mlp.up_proj.weight"] += 1e-3
    save_file(weights, path, metadata={"format": "pt"})


CHANGES = {
    "config": _change_json("config.json"),
    "generation config": _change_json("generation_config.json"),
    "tokenizer": _change_json("tokenizer.json"),
    "tokenizer config": _change_json("tokenizer_config.json"),
    "template": _write("chat_template.jinja", "{{ messages }}"),
    "weights": _change_weights,
}


@pytest.mark.parametrize("whole", [location.WHOLE, 0], ids=["whole", "sampled"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whatever_decides_the_answers_changes_it(
    change: Callable[[Path], object], whole: int, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "WHOLE", whole)
    monkeypatch.setattr(location, "MIB", 64)
    before = fingerprint(copy)
    change(copy)
    assert fingerprint(copy) != before


@pytest.mark.parametrize("name", ["README.md", "trainer_state.json", "loss.txt"])
def test_notes_beside_it_do_not(name: str, copy: Path) -> None:
    before = fingerprint(copy)
    (copy / name).write_text("{}")
    assert fingerprint(copy) == before


def test_sampling_reads_little_of_a_large_file(tmp_path: Path, copy: Path) -> None:
    with (copy / "model.safetensors").open("r+b") as file:
        size = 3 * 2**30
        header = json.dumps(
            {"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
        ).encode()
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + size)  # sparse: takes no disk
    read = sum(len(piece) for piece in location._weights(copy / "model.safetensors"))
    assert read < 2 * 2**20


def test_a_large_damaged_file_is_one_line(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(location, "WHOLE", 0)
    (copy / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError, match=r"model\.safetensors: is damaged"):
        fingerprint(copy)


def _without(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def _pickle(folder: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without("config.json"), "no config.json"),
        (_adapter, "is an adapter; merge it"),
        (_without("model.safetensors"), "has no weights"),
        (_pickle, r"only pickled weights.*save_pretrained\(FOLDER\) writes safetensors"),
    ],
)
def test_what_is_no_checkpoint_says_why(
    change: Callable[[Path], None], said: str, copy: Path
) -> None:
    change(copy)
    with pytest.raises(UsageError, match=f"^{copy}: .*{said}"):
        locate(copy)


def test_a_file_is_no_checkpoint(llama: Path) -> None:
    with pytest.raises(UsageError, match="is a file; give the folder"):
        locate(llama / "config.json")


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "a/b/c", "two words"])
def test_no_folder_and_no_hub_id(name: str) -> None:
    with pytest.raises(UsageError, match="no such folder; give a checkpoint's folder or hub id"):
        locate(name)


def test_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"^some/model: no such folder, and the hub can't be"):
        locate("some/model")
