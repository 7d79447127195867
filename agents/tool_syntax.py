"""Tool calls as Hermes and Qwen models write them: a JSON object between `<tool_call>` and `</tool_call>`.

What cannot be read is never dropped and never taken for an answer: it becomes a `ToolCall` with an `error` in words,
which the environment tells the policy. Reading never raises, whatever the text.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from envs import Message, ToolCall

Tools = Sequence[Mapping[str, Any]]
"""Tool schemas in the OpenAI function format."""

OPEN, CLOSE = "<tool_call>", "</tool_call>"

_THINKING = re.compile(r"\s*<think>(.*?)(?:</think>|\Z)", re.S)
# The frame as the templates write it; its last group is the arguments exactly as the policy wrote them.
_FRAME = re.compile(r'\{\s*"name"\s*:\s*"([^"\\]*)"\s*,\s*"(?:arguments|parameters)"\s*:\s*(\{.*\})\s*\}', re.S)
_NAME = re.compile(r'"name"\s*:\s*"([^"\\]*)"')


class Syntax(Protocol):
    """How a model writes an assistant message."""

    def read(self, text: str, tools: Tools) -> Message:
        """Return the message that `text` (one whole turn without its stop token) says. Never raises.

        `tools` are those on offer: a syntax that writes numbers like words reads their types from the schemas.
        """
        ...


class HermesSyntax:
    """Reads `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, any number of them, with text around."""

    def __init__(self, *, opens_thinking: bool = False) -> None:
        """`opens_thinking`: the generation prompt ends in `<think>`, so that a turn begins within its thinking."""
        self._before = "<think>" if opens_thinking else ""

    def read(self, text: str, tools: Tools = ()) -> Message:
        """Return the message; thinking is left out of its content, and a call within thinking is no call."""
        text = without_thinking(self._before + text)
        if OPEN not in text:
            return Message(role="assistant", content=text.strip())
        said, *blocks = text.split(OPEN)
        calls = []
        for index, block in enumerate(blocks):
            body, closed, rest = block.partition(CLOSE)
            calls.append(_call(body.strip(), f"call_{index}", bool(closed)))
            said += rest
        return Message(role="assistant", content=said.strip(), tool_calls=tuple(calls))


def without_thinking(text: str) -> str:
    """Return `text` without the thinking it begins with, if it does; unfinished thinking is all of it."""
    found = _THINKING.match(text) if "<think>" in text else None
    return text[found.end() :] if found else text


def call_of(name: Any, arguments: Any, identity: str) -> ToolCall:
    """Return the call that parsed JSON gives, or say what is wrong with it.

    Arguments may be an object, or a text that holds one as in the OpenAI format.
    """
    if not isinstance(name, str) or not name:
        return ToolCall(name="", id=identity, error='the call names no tool: "name" must be a text')
    name = _encodable(name)
    if isinstance(arguments, str):
        return ToolCall(name=name, arguments=_encodable(arguments), id=identity)
    if not isinstance(arguments, dict):
        return ToolCall(name=name, id=identity, error='"arguments" must be a JSON object')
    return ToolCall(name=name, arguments=_encodable(json.dumps(arguments, ensure_ascii=False)), id=identity)


def _encodable(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON can escape but neither a record nor a pipe can hold."""
    return text.encode("utf-8", "replace").decode()


def _call(body: str, identity: str, closed: bool) -> ToolCall:
    if not closed:
        return ToolCall(name=_name_in(body), id=identity, error=f"the call does not end: {CLOSE} is missing")
    frame = _FRAME.fullmatch(body)
    if frame and isinstance(_json(frame[2]), dict):
        return ToolCall(name=frame[1], arguments=frame[2], id=identity)
    value = _json(body)
    if isinstance(value, ValueError):
        return ToolCall(name=_name_in(body), id=identity, error=f"the call is not valid JSON: {value}")
    if not isinstance(value, dict):
        return ToolCall(name="", id=identity, error="the call must be a JSON object with name and arguments")
    return call_of(value.get("name"), value.get("arguments", value.get("parameters", {})), identity)


def _json(text: str) -> Any:
    """Return the value of a JSON text, or the `ValueError` that says why it has none."""
    try:
        return json.loads(text)
    except RecursionError:
        return ValueError("nested too deeply")
    except ValueError as error:
        return ValueError(str(error)[:200])


def _name_in(body: str) -> str:
    """Return the tool that a call which cannot be read seems to mean."""
    found = _NAME.search(body)
    return found[1] if found else ""
