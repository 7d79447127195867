"""Token arrays that a trainer learns from, derived from a trajectory.

Turns form a chain as long as each prompt begins with exactly the ids of the turn before, its completion included. Where
a chat template rewrote history the chain breaks, and the trajectory gives several samples. What the environment said
after the last turn was never rendered, so it is in none of them.
"""

from dataclasses import dataclass

from rollout.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Sample:
    """One unbroken chain of tokens. The last three have the same length, at least 1."""

    prompt_ids: tuple[int, ...]
    """What stood before the first sampled id."""
    completion_ids: tuple[int, ...]
    """Everything after: sampled ids and the environment's, ending with a sampled one."""
    env_mask: tuple[int, ...]
    """1 on sampled ids, 0 on the environment's."""
    logprobs: tuple[float, ...]
    """Natural log-probability as sampled; 0.0 where `env_mask` is 0."""


def samples(trajectory: Trajectory) -> list[Sample]:
    """Return one sample for each unbroken chain of turns, in order; none for agents without token ids.

    Raises:
        ValueError: a turn's log-probabilities do not match its sampled ids.
    """
    chains: list[_Chain] = []
    for turn in trajectory.turns:
        if len(turn.logprobs) != len(turn.completion_ids):
            raise ValueError(f"a turn has {len(turn.logprobs)} logprobs for {len(turn.completion_ids)} sampled ids")
        if not turn.completion_ids:
            continue
        if not (chains and chains[-1].continues(turn.prompt_ids)):
            chains.append(_Chain(turn.prompt_ids))
        chains[-1].extend(turn.prompt_ids, turn.completion_ids, turn.logprobs)
    return [chain.sample() for chain in chains]


class _Chain:
    """A sample being built."""

    def __init__(self, prompt_ids: tuple[int, ...]) -> None:
        self._ids = list(prompt_ids)
        self._start = len(prompt_ids)
        self._mask: list[int] = []
        self._logprobs: list[float] = []

    def continues(self, prompt_ids: tuple[int, ...]) -> bool:
        return list(prompt_ids[: len(self._ids)]) == self._ids

    def extend(self, prompt_ids: tuple[int, ...], completion_ids: tuple[int, ...], logprobs: tuple[float, ...]) -> None:
        said = prompt_ids[len(self._ids) :]
        self._ids += (*said, *completion_ids)
        self._mask += [0] * len(said) + [1] * len(completion_ids)
        self._logprobs += [0.0] * len(said) + list(logprobs)

    def sample(self) -> Sample:
        ids = tuple(self._ids)
        return Sample(ids[: self._start], ids[self._start :], tuple(self._mask), tuple(self._logprobs))
