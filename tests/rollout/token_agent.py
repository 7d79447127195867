"""An agent with token ids for tests: every id is unlike any other, so that each can be traced to who wrote it."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agents import Generation, Prompt
from agents.base import FinishReason
from envs import Message


@dataclass(frozen=True)
class Line:
    """One answer: its message, how many ids it takes, and how it ends."""

    message: Message
    tokens: int = 5
    finish: FinishReason = "stop"


@dataclass
class TokenAgent:
    """Says its lines in turn; each message of an observation takes `rendered` ids. Keeps a ledger of what it did."""

    lines: Sequence[Line]
    rendered: int = 3
    rewrites: frozenset[int] = frozenset()
    """Turns whose prompt is rendered anew, so that it does not begin with the prefix."""
    prompts: list[Prompt] = field(default_factory=list)
    generations: list[Generation] = field(default_factory=list)
    sampled: set[int] = field(default_factory=set)
    forgotten: list[str] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def act(self, prompt: Prompt) -> Generation:
        line = self.lines[len(self.prompts) % len(self.lines)]
        prefix = prompt.prefix_ids
        if len(self.prompts) in self.rewrites:
            prefix = self._take(len(prefix))
        ids = self._take(line.tokens)
        generation = Generation(
            line.message,
            prefix + self._take(self.rendered * len(prompt.new)),
            ids,
            tuple(-id / 1000 for id in ids),
            line.finish,
        )
        self.prompts.append(prompt)
        self.generations.append(generation)
        self.sampled.update(ids)
        return generation

    def forget(self, episode: str) -> None:
        self.forgotten.append(episode)

    async def close(self) -> None:
        pass

    def _take(self, count: int) -> tuple[int, ...]:
        return tuple(itertools.islice(self._ids, count))
