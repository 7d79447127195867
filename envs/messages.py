"""The conversation: messages and tool calls, frozen, JSON both ways, shaped as OpenAI and TRL shape them."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

Role = Literal["system", "user", "assistant", "tool"]


class ToolCall(BaseModel):
    """One call that the policy wrote. Its arguments stay the JSON text as written; the environment validates them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """The tool's name as written, perhaps of no tool there is."""
    arguments: str = "{}"
    """JSON text as written, perhaps malformed."""
    id: str = ""
    """Ties the tool message to its call; unique within the message."""
    error: str | None = None
    """Why the agent could not read this call, if it could not: the environment answers with it and runs nothing."""


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls of an assistant message, in the order written."""
    tool_call_id: str | None = None
    """On a tool message: the `id` of the call it answers."""
    name: str | None = None
    """On a tool message: the tool's name."""

    @classmethod
    def system(cls, content: str) -> Self:
        """Return a system message."""
        return cls(role="system", content=content)

    @classmethod
    def user(cls, content: str) -> Self:
        """Return a user message."""
        return cls(role="user", content=content)

    @classmethod
    def assistant(cls, content: str = "", *tool_calls: ToolCall) -> Self:
        """Return an assistant message, with calls if any."""
        return cls(role="assistant", content=content, tool_calls=tool_calls)

    @classmethod
    def tool(cls, content: str, call: ToolCall) -> Self:
        """Return the tool message that answers `call`."""
        return cls(role="tool", content=content, tool_call_id=call.id, name=call.name)


Observation = tuple[Message, ...]
"""What an environment says at reset and after each step: the messages that are new."""
