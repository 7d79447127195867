"""The rubric: named criteria in [0, 1] with weights; the reward is their weighted sum."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from envs.messages import Message
from envs.tasks import Task

T = TypeVar("T", bound=Task)


class RubricError(RuntimeError):
    """A criterion failed or left [0, 1]: our fault, so the episode is unscored."""


@dataclass(frozen=True, slots=True)
class Episode(Generic[T]):
    """A finished episode, as a criterion sees it."""

    task: T
    messages: tuple[Message, ...]
    """The whole conversation, system prompt included."""
    truncated: bool = False
    """A limit ended the episode, not the policy or a tool."""
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What the environment established after the last action (`ToolEnv.establish`): hidden test results, say."""

    @property
    def answer(self) -> str:
        """The text of the last assistant message, or "" if there is none."""
        return next((m.content for m in reversed(self.messages) if m.role == "assistant"), "")


Criterion = Callable[[Episode[T]], float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rubric made of an episode."""

    reward: float
    """Weighted sum of the scores."""
    scores: Mapping[str, float]
    """Each criterion's score in [0, 1], by name."""
    success: bool
    """Every criterion of positive weight scored 1."""


class Rubric(Generic[T]):
    """Named criteria with weights: `Rubric({"correct": (1.0, check)})`, where `check(episode)` returns [0, 1].

    A weight of 0 records the score without rewarding it; a negative weight penalises.

    Raises:
        ValueError: no criterion, or a weight that is not a finite number.
    """

    def __init__(self, criteria: Mapping[str, tuple[float, Criterion[T]]]) -> None:
        if not criteria:
            raise ValueError("a rubric needs at least one criterion: {'name': (weight, function)}")
        for name, (weight, _) in criteria.items():
            if not math.isfinite(weight):
                raise ValueError(f"criterion {name!r}: weight {weight} is not a finite number")
        self.criteria = MappingProxyType(dict(criteria))

    def verdict(self, episode: Episode[T]) -> Verdict:
        """Score a finished episode.

        Raises:
            RubricError: a criterion raised, or returned something that is no number in [0, 1].
        """
        scores = {name: _score(name, check, episode) for name, (_, check) in self.criteria.items()}
        reward = math.fsum(weight * scores[name] for name, (weight, _) in self.criteria.items())
        success = all(scores[name] == 1.0 for name, (weight, _) in self.criteria.items() if weight > 0)
        return Verdict(reward, scores, success)


def _score(name: str, check: Criterion[T], episode: Episode[T]) -> float:
    try:
        score = float(check(episode))
    except Exception as error:  # any fault of an author's criterion is ours, not the policy's
        raise RubricError(f"criterion {name!r} raised {type(error).__name__}: {error}") from error
    if not 0.0 <= score <= 1.0:
        raise RubricError(f"criterion {name!r} returned {score}; a score lies in [0, 1]")
    return score
