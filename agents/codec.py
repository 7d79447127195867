"""`ChatCodec`: between messages and token ids, by the tokenizer's own chat template.

Tokens are appended, never re-encoded: `open` renders a fresh conversation once, and `extend` gives only what the
template writes after a completed assistant turn. What the policy sampled keeps its ids, even where the template
would write that turn differently.
"""

import json
from collections.abc import Sequence
from typing import Any, cast

from transformers import PreTrainedTokenizerBase

from agents.control_tokens import MARK, ControlTokens
from agents.response_template import ResponseTemplateSyntax
from agents.tool_syntax import HermesSyntax, Syntax, Tools
from envs import Message, ToolCall

PROBE_CALL = ToolCall(name="probe_tool", arguments='{"first": 7, "second": "two words"}', id="call_0")
"""The call that a template is tried with."""
PROBE_TOOL = {
    "type": "function",
    "function": {
        "name": PROBE_CALL.name,
        "description": "Return its arguments.",
        "parameters": {
            "type": "object",
            "properties": {"first": {"type": "integer"}, "second": {"type": "string"}},
            "required": ["first", "second"],
        },
    },
}
"""The tool that it calls."""

_MAX_OPENINGS = 4096
"""Openings whose ids are kept: the episodes of a group begin alike, and an evaluation repeats its tasks."""


class ChatCodec:
    """Encodes prompts and reads completions for one tokenizer. Thread-safe as far as the tokenizer is.

    Raises:
        ValueError: the tokenizer has no chat template, or the template cannot write an assistant's turn.
    """

    stop_ids: frozenset[int]
    """Ids that end a turn: the template's own, and the tokenizer's end of sequence."""
    ends_turns: bool
    """Whether the template writes a control token at the end of an assistant's turn."""
    syntax: Syntax | None
    """How the template's tool calls are read; None where nothing at hand can read them (then Hermes is assumed)."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        if not tokenizer.chat_template:
            raise ValueError("the tokenizer has no chat template; set tokenizer.chat_template")
        self.tokenizer = tokenizer
        self.control = ControlTokens(tokenizer)
        self._stops = {False: self._stop_after(with_call=False), True: self._stop_after(with_call=True)}
        self.ends_turns = all(self._stops.values())
        ends = {self._stops[False], self._stops[True], tokenizer.eos_token} - {None, ""}
        self.stop_ids = frozenset(cast(int, tokenizer.convert_tokens_to_ids(end)) for end in ends)
        self.syntax = self._find_syntax()
        self._reader: Syntax = self.syntax or HermesSyntax()
        self._openings: dict[tuple[Message, ...], tuple[int, ...]] = {}
        self._openings_tools: Tools = ()

    def open(self, messages: Sequence[Message], tools: Tools) -> tuple[int, ...]:
        """Return the ids of a fresh conversation, generation prompt included."""
        if tools != self._openings_tools or len(self._openings) >= _MAX_OPENINGS:
            self._openings, self._openings_tools = {}, tools
        key = tuple(messages)
        if key not in self._openings:
            self._openings[key] = self._open(key, tools)
        return self._openings[key]

    def extend(self, new: Sequence[Message], tools: Tools) -> tuple[int, ...]:
        """Return the ids to append after a completed assistant turn (its stop token included).

        They hold the rest of that turn's end, the new messages, and the generation prompt.
        """
        removed: list[str] = []
        answered = [message for message in new if message.role == "tool"]
        before = [
            _user("hello"),
            _marked_turn([(message.name or "tool", message.tool_call_id) for message in answered]),
        ]
        text = self.render(before + self._dicts(new, removed), self.control.disarm(tools, removed))
        return tuple(self.control.encode(self._after_turn(text, bool(answered)), removed))

    def parse(self, completion_ids: Sequence[int], tools: Tools = ()) -> Message:
        """Return the assistant message that sampled ids say. Never raises on what a policy can sample."""
        ids = list(completion_ids)
        if ids and ids[-1] in self.stop_ids:
            ids.pop()
        return self._reader.read(cast(str, self.tokenizer.decode(ids, skip_special_tokens=False)), tools)

    def render(self, messages: list[dict[str, Any]], tools: Any = None, *, generation_prompt: bool = True) -> str:
        """Return the template's text for messages in its own form, which must hold no control tokens."""
        text = self.tokenizer.apply_chat_template(
            messages, tools=tools or None, add_generation_prompt=generation_prompt, tokenize=False
        )
        return cast(str, text)

    def completion_of(self, turn: dict[str, Any]) -> str:
        """Return the text that a policy would sample to say `turn` as the template writes it, stop token left out."""
        prompt = self.render([_user("hello")])
        whole = self.render([_user("hello"), turn], generation_prompt=False)
        shared = next((n for n, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b), len(prompt))
        stop = self._stops["tool_calls" in turn]
        return whole[shared:].rpartition(stop)[0] if stop in whole[shared:] and stop else whole[shared:]

    def _open(self, messages: Sequence[Message], tools: Tools) -> tuple[int, ...]:
        removed: list[str] = []
        text = self.render(self._dicts(messages, removed), self.control.disarm(tools, removed))
        return tuple(self.control.encode(text, removed))

    def _dicts(self, messages: Sequence[Message], removed: list[str]) -> list[dict[str, Any]]:
        return [self.control.disarm(as_template_message(message), removed) for message in messages]

    def _after_turn(self, text: str, with_call: bool) -> str:
        stop = self._stops[with_call]
        after = text.partition(MARK)[2]
        return after.partition(stop)[2] if stop else after

    def _stop_after(self, *, with_call: bool) -> str:
        """Return the control token that ends a turn, or an empty text where the template writes none."""
        turn = _marked_turn([("probe_tool", "call_0")] if with_call else [])
        after = self.render([_user("hello"), turn], generation_prompt=False).partition(MARK)[2]
        ends = self.control.within(after)
        return ends[-1] if ends else ""

    def _find_syntax(self) -> Syntax | None:
        """Return the reader that understands a call as the template writes it."""
        prompt = self.render([_user("hello")])
        candidates: list[Syntax] = [HermesSyntax(opens_thinking=prompt.rstrip().endswith("<think>"))]
        if getattr(self.tokenizer, "response_template", None) is not None:
            candidates.append(ResponseTemplateSyntax(self.tokenizer, prompt))
        written = self.completion_of(as_template_message(Message.assistant("", PROBE_CALL)))
        return next((syntax for syntax in candidates if _same_call(syntax.read(written, [PROBE_TOOL]))), None)


def as_template_message(message: Message) -> dict[str, Any]:
    """Return a message in the form that chat templates read: arguments as an object wherever they are one."""
    data: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        data["tool_calls"] = [
            _template_call(call.name, _object(call.arguments), call.id) for call in message.tool_calls
        ]
    if message.role == "tool":
        data |= {"name": message.name or "tool", "tool_call_id": message.tool_call_id or "call_0"}
    return data


def _user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def _marked_turn(calls: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
    """Return an assistant turn that makes these calls (name, id) and has `MARK` as the last of what it says."""
    if not calls:
        return {"role": "assistant", "content": MARK}
    written = [
        _template_call(name, {"value": MARK if index == len(calls) - 1 else ""}, identity or "call_0")
        for index, (name, identity) in enumerate(calls)
    ]
    return {"role": "assistant", "content": "", "tool_calls": written}


def _template_call(name: str, arguments: Any, identity: str) -> dict[str, Any]:
    return {"type": "function", "id": identity, "function": {"name": name, "arguments": arguments}}


def _object(text: str) -> Any:
    """Return the object that JSON text holds, or the text itself."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text


def _same_call(message: Message) -> bool:
    calls = message.tool_calls
    return len(calls) == 1 and (calls[0].name, _object(calls[0].arguments), calls[0].error) == (
        PROBE_CALL.name,
        _object(PROBE_CALL.arguments),
        None,
    )
