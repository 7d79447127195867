"""Tools: typed functions that the policy may call, with a schema from signature and docstring."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

F = TypeVar("F", bound=Callable[..., Any])
_MARK = "__toolgym_tool__"

ToolErrorKind = Literal["unreadable", "unknown_tool", "bad_arguments", "refused"]
"""Whether the call could not be read, named no tool, had wrong arguments, or was refused by the tool itself."""


class ToolError(Exception):
    """What a tool tells the policy instead of a result: the policy's mistake, and the episode goes on."""

    def __init__(self, message: str, kind: ToolErrorKind = "refused") -> None:
        super().__init__(message)
        self.kind: ToolErrorKind = kind


def tool(method: F) -> F:
    """Mark a method of a `ToolEnv` as a tool. Its annotations give the schema, its docstring the description."""
    setattr(method, _MARK, True)
    return method


@dataclass(frozen=True, slots=True)
class Tool:
    """A method that the policy may call."""

    name: str
    description: str
    arguments: type[BaseModel]
    """Validates the arguments; its fields are called `p0`, `p1`, … with the parameters' names as aliases."""
    parameters: tuple[str, ...]
    """The parameters' names, in order."""

    def read(self, text: str) -> dict[str, Any]:
        """Return the keyword arguments that the JSON `text` holds.

        Raises:
            ToolError: the text is no JSON object, or does not fit the signature.
        """
        try:
            values = self.arguments.model_validate_json(text or "{}")
        except ValidationError as error:
            raise ToolError(f"{self.name}: {_in_words(error)}", "bad_arguments") from error
        return {name: getattr(values, f"p{index}") for index, name in enumerate(self.parameters)}

    @property
    def schema(self) -> dict[str, Any]:
        """The tool in the OpenAI function format."""
        parameters = _without_titles(self.arguments.model_json_schema(by_alias=True))
        parameters.pop("additionalProperties", None)
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": parameters},
        }


def tools_of(cls: type) -> dict[str, Tool]:
    """Return the marked methods of a class by name, in order of definition, base classes first.

    Raises:
        TypeError: a tool without a docstring, or a parameter without a type.
    """
    names = [name for base in reversed(cls.__mro__) for name, value in vars(base).items() if hasattr(value, _MARK)]
    return {name: _build(name, getattr(cls, name)) for name in dict.fromkeys(names)}


def _build(name: str, method: Callable[..., Any]) -> Tool:
    doc = inspect.getdoc(method)
    where = f"tool {method.__qualname__}"
    if not doc:
        raise TypeError(f"{where}: it needs a docstring, which the policy reads to know what the tool does")
    summary, notes = _split_docstring(doc)
    hints = get_type_hints(method, include_extras=True)
    parameters = list(inspect.signature(method).parameters.values())[1:]
    fields: dict[str, Any] = {}
    for index, parameter in enumerate(parameters):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"{where}: parameter *{parameter.name} has no schema; name each parameter")
        if parameter.name not in hints:
            raise TypeError(f"{where}: parameter {parameter.name!r} needs a type, as in '{parameter.name}: str'")
        default = ... if parameter.default is parameter.empty else parameter.default
        field = Field(default, alias=parameter.name, description=notes.get(parameter.name))
        fields[f"p{index}"] = (hints[parameter.name], field)
    arguments = create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)
    return Tool(name, summary, arguments, tuple(parameter.name for parameter in parameters))


def _split_docstring(doc: str) -> tuple[str, Mapping[str, str]]:
    """Return a Google-style docstring's text before its sections, and what its Args section says by parameter."""
    text, _, sections = doc.partition("\nArgs:")
    summary = re.split(r"\n(?:Returns|Raises|Yields|Examples?|Notes?):", text)[0]
    block = re.split(r"\n\S", sections)[0]
    notes = re.findall(r"^\s+(\w+)(?: \([^)]*\))?:\s*(.+?)(?=^\s+\w+(?: \([^)]*\))?:|\Z)", block, re.M | re.S)
    return " ".join(summary.split()), {name: " ".join(note.split()) for name, note in notes}


def _without_titles(schema: Any) -> Any:
    """Drop the titles that pydantic derives from names: they repeat the name, and cost the policy tokens."""
    if isinstance(schema, dict):
        kept = {key: value for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
        return {key: _without_titles(value) for key, value in kept.items()}
    if isinstance(schema, list):
        return [_without_titles(value) for value in schema]
    return schema


def _in_words(error: ValidationError) -> str:
    """Say the first three faults of the arguments in one line."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    lines = [f"{'.'.join(map(str, fault['loc'])) or 'arguments'}: {fault['msg']}" for fault in faults[:3]]
    return "; ".join(lines)
