"""`ScriptedAgent`: an agent that is a function. It has no token ids; tests, benchmarks and demonstrations use it."""

import inspect
from collections.abc import Awaitable, Callable

from agents.base import Generation, Prompt
from envs import Message

Script = Callable[[Prompt], Message | Awaitable[Message]]
"""Answers a prompt; `async def` where it waits."""


class ScriptedAgent:
    """Answers each prompt with what `script(prompt)` returns. Whatever the script raises leaves `act`."""

    def __init__(self, script: Script) -> None:
        self._script = script

    async def act(self, prompt: Prompt) -> Generation:
        """Answer with the script's message."""
        answer = self._script(prompt)
        return Generation(await answer if inspect.isawaitable(answer) else answer)

    def forget(self, episode: str) -> None:
        """Do nothing: a script caches nothing."""

    async def close(self) -> None:
        """Do nothing: a script owns nothing."""
