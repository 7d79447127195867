"""An episode as text that a person reads. What a model wrote reaches the terminal as letters only: never as markup, and
never as control characters, which could recolour, retitle or rewrite the screen.
"""

import json
import unicodedata
from collections.abc import Iterator

from rich.text import Text

from envs import Message, ToolCall
from rollout.trajectory import Trajectory

_STYLES = {"user": "bold", "assistant": "", "tool": "dim"}
_TITLES = {"user": "task", "assistant": "policy", "tool": "tool"}


def plain(text: str) -> str:
    """Return text whose control and format characters are spelt out; newlines stay, tabs become spaces."""
    return "".join(_visible(character) for character in text.expandtabs(4))


def transcript(trajectory: Trajectory, *, max_lines: int = 8, max_width: int = 400) -> Text:
    """Return an episode as a conversation without its system prompt, each message cut to `max_lines` lines.

    `max_width` bounds the characters of one line.
    """
    text = Text()
    for message in trajectory.messages:
        if message.role != "system":
            text.append(f"{_TITLES[message.role]:<7}", style="cyan")
            lines = _cut(_content(message), max_lines, max_width)
            text.append("\n        ".join(lines) + "\n", style=_STYLES[message.role])
    text.append(_ending(trajectory), style="green" if trajectory.success else "yellow")
    return text


def _visible(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co"):
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _content(message: Message) -> str:
    parts = [message.content, *map(_call, message.tool_calls)]
    return plain("\n".join(part for part in parts if part)) or "(nothing)"


def _call(call: ToolCall) -> str:
    """Show a call as Python would write it; a text of several lines stands below the call as it is."""
    if call.error is not None:
        return f"(unreadable call: {call.error}) {call.arguments}"
    try:
        arguments = json.loads(call.arguments or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        return f"{call.name} {call.arguments}"
    return f"{call.name}({', '.join(_arguments(arguments))})"


def _arguments(arguments: dict[str, object]) -> Iterator[str]:
    for name, value in arguments.items():
        if isinstance(value, str) and "\n" in value.strip():
            yield f"{name}=\n{value.strip()}\n"
        else:
            yield f"{name}={json.dumps(value, ensure_ascii=False)}"


def _cut(text: str, max_lines: int, max_width: int) -> list[str]:
    lines = [line if len(line) <= max_width else f"{line[: max_width - 1]}…" for line in text.rstrip().splitlines()]
    if len(lines) <= max_lines:
        return lines
    return [*lines[: max_lines - 1], f"… {len(lines) - max_lines + 1} more lines"]


def _ending(trajectory: Trajectory) -> str:
    stop = trajectory.stop.value.replace("_", " ")
    if trajectory.reward is None:
        return plain(f"unscored: {trajectory.error}")
    return f"{stop}, reward {trajectory.reward:.2f}"
