"""Where a checkpoint lies, and which one it is: a folder, or an id on the hub.

Reads files only: no torch, no transformers, no weights in memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import errors, hf_hub_download

from surfcheck.errors import ModelError, UsageError

MIB = 2**20
WHOLE = 64 * MIB
"""Weight files up to this many bytes are hashed whole, larger ones in samples."""

# What the answers depend on; notes, logs and trainer states beside it don't count.
_READ_WHOLE = (
    "config.json",
    "generation_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer*",
    "vocab.*",
    "merges.txt",
    "*.model",
    "*.jinja",
    "*.safetensors.index.json",
)


@dataclass(frozen=True, slots=True)
class Location:
    """A checkpoint that is there."""

    name: str
    """The folder, or the id on the hub."""
    folder: Path
    """Folder that holds config.json; for an id, the snapshot in the hub's cache."""
    commit: str | None
    """Commit on the hub; None for a folder of one's own."""


def locate(name: str | Path) -> Location:
    """Find a checkpoint by folder or hub id.

    Raises UsageError if it is no checkpoint that can be read safely, ModelError if the hub
    can't be reached.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        _check(folder)
        return Location(str(folder), folder, None)
    if folder.exists():
        raise UsageError(f"{name}: is a file; give the folder that holds config.json")
    return _locate_on_hub(str(name))


def fingerprint(name: str | Path) -> str:
    """What tells one checkpoint from another: the hub's commit, or a hash of the folder's files.

    Changes with configuration, tokenizer, chat template and weights. Weight files over 64 MiB
    count by header, size, the first 64 KiB of every tensor and the last MiB: seconds for any size.
    """
    location = locate(name)
    if location.commit is not None:
        return location.commit
    digest = hashlib.sha256()
    for path in _files(location.folder, _READ_WHOLE):
        digest.update(f"{path.name}:{path.stat().st_size}:".encode() + path.read_bytes())
    for path in _files(location.folder, ("*.safetensors",)):
        digest.update(f"{path.name}:{path.stat().st_size}:".encode())
        for piece in _weights(path):
            digest.update(piece)
    return digest.hexdigest()


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


def _weights(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= WHOLE:
            yield file.read()
            return
        # safetensors: 8 bytes of header length, a JSON header, then the tensors.
        length = int.from_bytes(file.read(8), "little")
        try:
            header = file.read(min(length, size))
            tensors = [v for k, v in json.loads(header).items() if k != "__metadata__"]
            starts = sorted(8 + length + tensor["data_offsets"][0] for tensor in tensors)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ModelError(f"{path}: is damaged: download or save it again") from None
        yield header
        for start in starts:
            file.seek(start)
            yield file.read(64 * 1024)
        file.seek(size - MIB)
        yield file.read()


def _check(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise UsageError(f"{folder}: is an adapter; merge it into its base and give that")
        raise UsageError(f"{folder}: is no checkpoint (no config.json); give its folder")
    if _files(folder, ("*.safetensors",)):
        return
    if _files(folder, ("*.bin", "*.pt", "*.pth")):
        raise UsageError(
            f"{folder}: has only pickled weights, which can run code when read; where you trust "
            "them, AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(FOLDER) writes "
            "safetensors"
        )
    raise UsageError(f"{folder}: has no weights (no *.safetensors); save the model there")


def _locate_on_hub(name: str) -> Location:
    try:
        with _no_hub_noise():
            config = Path(hf_hub_download(name, "config.json"))
    except errors.HFValidationError:
        raise UsageError(f"{name}: no such folder; give a checkpoint's folder or hub id") from None
    except errors.GatedRepoError:
        raise UsageError(
            f"{name}: is gated; accept its terms on huggingface.co and run `hf auth login`"
        ) from None
    except errors.RepositoryNotFoundError:
        raise UsageError(f"{name}: no such folder, and no such model on the hub") from None
    except errors.LocalEntryNotFoundError:
        raise ModelError(
            f"{name}: no such folder, and the hub can't be reached; correct the path, or go online"
        ) from None
    except errors.EntryNotFoundError:
        raise UsageError(f"{name}: is no checkpoint on the hub (no config.json)") from None
    except OSError as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(f"{name}: the hub can't be reached ({reason}); try again") from None
    return Location(name, config.parent, config.parent.name)


@contextmanager
def _no_hub_noise() -> Iterator[None]:
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
