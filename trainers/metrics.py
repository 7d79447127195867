"""Figures of the episodes of one training step, as plain numbers by name."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import Self

from rollout.trajectory import StopReason, Trajectory
from trainers.rows import CUT_SHORT


@dataclass(frozen=True, slots=True)
class EpisodeFigures:
    """What the metrics need of an episode. Small and plain, since processes exchange it."""

    reward: float | None
    scores: dict[str, float]
    success: bool
    stop: StopReason
    turns: int
    tool_calls: int
    tool_errors: int
    sampled_tokens: int
    attempts: int
    agent_s: float
    env_s: float

    @classmethod
    def of(cls, trajectory: Trajectory) -> Self:
        """Take the figures from a trajectory."""
        turns = trajectory.turns
        return cls(
            reward=trajectory.reward,
            scores=dict(trajectory.scores),
            success=trajectory.success,
            stop=trajectory.stop,
            turns=len(turns),
            tool_calls=sum(turn.tool_calls for turn in turns),
            tool_errors=sum(len(turn.tool_errors) for turn in turns),
            sampled_tokens=sum(len(turn.completion_ids) for turn in turns),
            attempts=trajectory.attempts,
            agent_s=math.fsum(turn.agent_s for turn in turns),
            env_s=math.fsum(turn.env_s for turn in turns),
        )


def episode_metrics(episodes: Sequence[EpisodeFigures]) -> dict[str, float]:
    """Return means over the scored episodes; NaN where none is scored.

    `unscored` and `retried` are numbers of episodes; `stop/*` are shares of all episodes; `seconds/*` are what a mean
    episode waited for the agent and for the environment, while others ran beside it.
    """
    scored = [episode for episode in episodes if episode.reward is not None]
    names = sorted({name for episode in scored for name in episode.scores})
    rubric = {f"rubric/{name}": _mean([e.scores[name] for e in scored if name in e.scores]) for name in names}
    stops = {f"stop/{stop}": sum(e.stop == stop for e in episodes) / len(episodes) for stop in StopReason}
    return (
        rubric
        | stops
        | {
            "success": _mean([float(e.success) for e in scored]),
            "turns": _mean([float(e.turns) for e in scored]),
            "tools/calls": _mean([float(e.tool_calls) for e in scored]),
            "tools/errors": _mean([float(e.tool_errors) for e in scored]),
            "unscored": float(len(episodes) - len(scored)),
            "retried": float(sum(e.attempts > 1 for e in episodes)),
            "seconds/agent": _mean([e.agent_s for e in scored]),
            "seconds/environment": _mean([e.env_s for e in scored]),
        }
    )


def completion_metrics(episodes: Sequence[EpisodeFigures]) -> dict[str, float]:
    """Return TRL's `completions/*`: lengths in sampled tokens of the scored episodes, by whether a limit ended them."""
    scored = [episode for episode in episodes if episode.reward is not None]
    ended = [episode for episode in scored if episode.stop not in CUT_SHORT]
    clipped = 1 - len(ended) / len(scored) if scored else math.nan
    return {
        "completions/clipped_ratio": clipped,
        **_spread("completions/{}_length", [e.sampled_tokens for e in scored]),
        **_spread("completions/{}_terminated_length", [e.sampled_tokens for e in ended]),
    }


def group_metrics(episodes: Sequence[EpisodeFigures], group_size: int) -> dict[str, float]:
    """Return the mean deviation of the reward within a group, and the share of groups that teach nothing.

    `episodes` holds the groups one after the other. A group teaches nothing if fewer than two of its episodes are
    scored or all have the same reward.
    """
    groups = [
        [e.reward for e in episodes[start : start + group_size] if e.reward is not None]
        for start in range(0, len(episodes), group_size)
    ]
    spreads = [pstdev(group) if len(group) > 1 else 0.0 for group in groups]
    return {"groups/spread": fmean(spreads), "groups/flat": sum(spread < 1e-8 for spread in spreads) / len(groups)}


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else math.nan


def _spread(name: str, lengths: Sequence[int]) -> dict[str, float]:
    values = [float(length) for length in lengths] or [math.nan]
    return {name.format("mean"): fmean(values), name.format("min"): min(values), name.format("max"): max(values)}
