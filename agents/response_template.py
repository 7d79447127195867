"""Tool calls read by the tokenizer's own `response_template`, for models that do not write them as Hermes does."""

from typing import Any, cast

from transformers import PreTrainedTokenizerBase

from agents.tool_syntax import Tools, call_of
from envs import Message, ToolCall


class ResponseTemplateSyntax:
    """Reads a turn through `tokenizer.parse_response` (some ms for a long turn)."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompt: str) -> None:
        """`prompt`: a rendered prompt; the parser must see how it ends, which may be within a turn."""
        self._tokenizer = tokenizer
        self._prompt = prompt

    def read(self, text: str, tools: Tools) -> Message:
        """Return the message; what the parser refuses becomes a call with an error."""
        try:
            # transformers 5.17 raises without prefix=: it is always given, so what it raises is about the text.
            answer = self._tokenizer.parse_response(text, prefix=self._prompt, tools=[dict(tool) for tool in tools])
            parsed = cast(dict[str, Any], answer)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"the tool call cannot be read: {str(error)[:200]}"
            return Message(role="assistant", tool_calls=(ToolCall(name="", id="call_0", error=reason),))
        calls = [call.get("function", call) for call in parsed.get("tool_calls") or []]
        return Message(
            role="assistant",
            content=str(parsed.get("content") or "").strip(),
            tool_calls=tuple(
                call_of(call.get("name"), call.get("arguments", {}), f"call_{index}")
                for index, call in enumerate(calls)
            ),
        )
