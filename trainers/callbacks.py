"""What happens around a training step: its episodes are recorded, its figures written and shown, Ctrl-C obeyed."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from agents.engine import TransformersAgent
from envs import Task
from rollout.trajectory import Trajectory
from trainers.episodes import EpisodeLog
from trainers.folder import RunFolder, append_line
from trainers.interruption import Interruption
from trainers.playing import EnginePlayer
from trainers.progress import Display, StepFigures


class Reach(Protocol):
    """Is told of each step that is done, and again when its checkpoint is written."""

    def __call__(self, step: int, *, saved: bool) -> None:
        """Take note of `step`, counted from 1."""
        ...


class RecordingPlayer:
    """Plays as another player does, into one file of records per optimiser step that asks for episodes."""

    def __init__(self, player: EnginePlayer, agent: TransformersAgent, log: EpisodeLog, folder: RunFolder) -> None:
        self._player, self._agent, self._log, self._folder = player, agent, log, folder
        self.step = 1
        """The optimiser step in hand, from 1."""
        self.tokens_per_s = 0.0
        """Tokens sampled per second of the latest call."""

    def play(self, tasks: Sequence[Task], *, seed: int) -> list[Trajectory]:
        """Play every task; a step that is played again, after a resume, replaces its records."""
        path = self._folder.step_records(self.step)
        path.unlink(missing_ok=True)
        self._log.begin(path)
        sampled, started = self._agent.tokens_sampled, time.perf_counter()
        played = self._player.play(tasks, seed=seed)
        self.tokens_per_s = (self._agent.tokens_sampled - sampled) / (time.perf_counter() - started)
        return played


class StepCallback(TrainerCallback):
    """Writes a row of metrics per step, keeps the display going, and ends training after the step when asked to."""

    def __init__(
        self,
        player: RecordingPlayer,
        display: Display,
        interruption: Interruption,
        folder: RunFolder,
        reach: Reach,
    ) -> None:
        self._player, self._display, self._interruption = player, display, interruption
        self._folder, self._reach = folder, reach
        self._began = time.perf_counter()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Say which step the next episodes belong to."""
        self._player.step = state.global_step + 1
        self._began = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stop after this step, with a checkpoint, if asked to."""
        self._reach(state.global_step, saved=False)
        if self._interruption.requested:
            control.should_training_stop = control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Say that the step has a checkpoint now."""
        self._reach(state.global_step, saved=True)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float | None] | None = None,
        **_: Any,
    ) -> None:
        """Write and show the figures of a step."""
        if logs is None or "reward" not in logs:
            return  # the totals at the end of training
        row: dict[str, float | None] = {name: _number(value) for name, value in logs.items()}
        row["tokens_per_s"] = self._player.tokens_per_s
        row["seconds/step"] = time.perf_counter() - self._began
        append_line(self._folder.metrics, {"step": state.global_step, **row})
        self._display.advance(state.global_step, self._words(row))

    def _words(self, row: Mapping[str, float | None]) -> str:
        reward = row["reward"]
        if reward is None:
            return "every episode is unscored"
        figures = StepFigures(
            reward=reward,
            spread=row["groups/spread"] or 0.0,
            tool_calls=row["tools/calls"] or 0.0,
            tool_errors=row["tools/errors"] or 0.0,
            tokens_per_s=self._player.tokens_per_s,
        )
        return figures.words()


def _number(value: float | None) -> float | None:
    """JSON has no NaN: a mean over nothing is null, as some of TRL's are already."""
    return value if value is not None and math.isfinite(value) else None
