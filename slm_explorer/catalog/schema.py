"""Build frozen dataclasses from JSON, checking every value against the field's annotation.

The dataclass is the schema: a misspelt key, a missing one or a value of the wrong type is one
sentence that names the place, so that a broken catalog cannot show a wrong fact.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from slm_explorer.errors import BadCatalog

T = TypeVar("T")


def build(cls: type[T], values: object, where: str) -> T:
    """`cls(**values)` with every value checked. `where` names the place in error messages.

    Understands str, int, float, bool, None, Literal, unions, tuple[X, ...] (from a JSON list)
    and nested dataclasses (from a JSON object). Raises BadCatalog.
    """
    if not isinstance(values, Mapping):
        raise BadCatalog(f"{where} should be an object, not {_kind(values)}.")
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise BadCatalog(f"{where} has an unknown key: {unknown[0]!r}.")
    found: dict[str, Any] = {}
    for name, field in fields.items():
        if name in values:
            found[name] = _checked(hints[name], values[name], f"{where}, {name!r}")
        elif field.default is dataclasses.MISSING:
            raise BadCatalog(f"{where} lacks {name!r}.")
    return cls(**found)


def _checked(hint: Any, value: object, where: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        options = get_args(hint)
        if value is None and type(None) in options:
            return None
        inner = [option for option in options if option is not type(None)]
        return _checked(inner[0], value, where)
    if origin is Literal:
        if value not in get_args(hint):
            allowed = ", ".join(map(repr, get_args(hint)))
            raise BadCatalog(f"{where} should be one of {allowed}, not {value!r}.")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise BadCatalog(f"{where} should be a list, not {_kind(value)}.")
        item = get_args(hint)[0]
        return tuple(_checked(item, each, f"{where}[{i}]") for i, each in enumerate(value))
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)  # type: ignore[arg-type]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # bool is an int in Python, and never a number in a catalog.
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise BadCatalog(f"{where} should be {_NAMES[hint]}, not {_kind(value)}.")
    return value


_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "true or false", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), f"the number {value!r}")
