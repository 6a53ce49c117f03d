"""The file of rows known to be guilty, `{"implicated": [ids]}`."""

from __future__ import annotations

import json
from pathlib import Path

from surfcheck.errors import DataError, UsageError

_FORM = 'give {"implicated": [ids of rows]}'


def read_truth(path: Path) -> frozenset[str]:
    """The ids in a truth file. Raises UsageError if it can't be read, DataError if it has none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such truth file; give a JSON file") from None
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror}); give a JSON file") from None
    except UnicodeDecodeError as error:
        raise DataError(path, None, f"not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(path, None, f"is no JSON ({error}); {_FORM}") from None
    ids = data.get("implicated") if isinstance(data, dict) else None
    if not isinstance(ids, list) or not ids:
        raise DataError(path, None, f"has no ids under `implicated`; {_FORM}")
    if not all(isinstance(i, str) for i in ids):
        raise DataError(path, None, f"an id is no text; {_FORM}")
    return frozenset(ids)
