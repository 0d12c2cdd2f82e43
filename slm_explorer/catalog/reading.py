"""Read a shipped file that is `{"schema": 1, KEY: [object, ...]}` into dataclasses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from slm_explorer.catalog.schema import build
from slm_explorer.errors import BadCatalog

SCHEMA = 1
T = TypeVar("T")


def read_object(path: Path) -> dict[str, object]:
    """The file's object, of the known schema. Raises BadCatalog, naming the file."""
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise BadCatalog(f"{path} cannot be read ({error.strerror}): reinstall.") from None
    except (ValueError, RecursionError) as error:
        raise BadCatalog(f"{path} is not JSON ({error}): reinstall.") from None
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise BadCatalog(f"{path} is not a file of schema {SCHEMA}: reinstall.")
    return values


def read_entries(path: Path, key: str, kind: type[T]) -> tuple[T, ...]:
    """The list under `key`, each entry checked against the fields of `kind`. Raises BadCatalog,
    naming the file, the entry and the field."""
    entries = read_object(path).get(key)
    if not isinstance(entries, list):
        raise BadCatalog(f"{path} needs a list of {key}.")
    return tuple(
        build(kind, entry, f"{path}, {key}[{i}]{_name(entry)}") for i, entry in enumerate(entries)
    )


def _name(entry: object) -> str:
    name = entry.get("id") if isinstance(entry, dict) else None
    return f" ({name})" if isinstance(name, str) else ""
