"""The `help` of a command: every option with its type, its default and its meaning, read off a pydantic model."""

import json
import types
from collections.abc import Iterator
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

_NAMES = {int: "whole number", float: "number", bool: "true or false", str: "text", type(None): "null", dict: "object"}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def print_options(model: type[BaseModel], console: Console) -> None:
    """Print every field of a model, nested models by dotted keys: how it is written, its type, and its meaning."""
    for key, field in option_fields(model):
        line = Text.assemble((f"{key}={default_words(field)}", "bold"), f"  {type_words(field.annotation, field)}")
        console.print(Padding(line, (0, 0, 0, 2)))
        console.print(Padding(Text(" ".join((field.description or "").split()), style="dim"), (0, 0, 0, 6)))


def option_fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield dotted key and field; the `id` of a node comes first and has the key of the node itself."""
    fields = model.model_fields
    for name in sorted(fields, key=lambda name: not (prefix and name == "id")):
        key = prefix[:-1] if prefix and name == "id" else prefix + name
        kind = fields[name].annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from option_fields(kind, f"{prefix}{name}.")
        else:
            yield key, fields[name]


def type_words(annotation: Any, field: FieldInfo | None = None) -> str:
    """Return a type in words, with the bounds of its field: `whole number, at least 1`."""
    bounds = [
        f"{words} {getattr(mark, name)}"
        for mark in (field.metadata if field else ())
        for name, words in _BOUNDS.items()
        if getattr(mark, name, None) is not None
    ]
    return ", ".join([_plain(annotation), *bounds])


def default_words(field: FieldInfo) -> str:
    """Return a field's default as one would write it on the line; "…" if it must be given."""
    if field.is_required():
        return "…"
    value = field.get_default(call_default_factory=True, validated_data={})
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _plain(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(_plain(argument) for argument in arguments)
    if origin in (tuple, list):
        return f"list of {_plain(arguments[0])}" if arguments else "list"
    base = origin or annotation
    return _NAMES.get(base, getattr(base, "__name__", str(base)))
