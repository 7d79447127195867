"""The job itself: evaluate, train, evaluate again, and say what was learned. Everything heavy is imported here.

The figures before training are recorded, so that a resumed run does not play them again. Whatever ends the run: the
episodes, the metrics, the last checkpoint and a summary are on disk.
"""

import json
import os
import time
from collections.abc import Sequence
from typing import Any

import torch
from rich.console import Console
from rich.text import Text
from safetensors import SafetensorError
from transformers import PrinterCallback

from agents.engine import TransformersAgent
from agents.models import load_model
from envs import Task
from rollout.engine import RolloutEngine
from rollout.trajectory import Trajectory, derive_seed
from sandboxes import UsageError, close_pools
from trainers.callbacks import RecordingPlayer, StepCallback
from trainers.config import TrainConfig
from trainers.episodes import EpisodeLog, recorded
from trainers.folder import RunFolder, disk_trouble, read_lines, write_whole
from trainers.interruption import Interruption
from trainers.playing import EnginePlayer
from trainers.plot import save_learning_curve
from trainers.progress import Display, open_display
from trainers.proving import also_in_training, check_template, prove, training_and_held_out
from trainers.quiet import quiet
from trainers.report import Evaluation, show_figures, show_one_episode, verdict_words
from trainers.resuming import last_checkpoint
from trainers.setting import agent_of, arguments_of, save_final, trainer_of
from trainers.trainer import EnvGRPOTrainer

_MAX_THREADS = 4  # on matrices as small as the embedded model's, more threads only wait for one another


def run(config: TrainConfig, folder: RunFolder, console: Console, started: float) -> int:
    """Train as configured and return the exit code: 0, or 130 if Ctrl-C ended the run.

    `started` is when the command began, by `time.monotonic`.

    Raises:
        UsageError: the tasks, the model or TRL's options cannot be used, or the disk is full.
    """
    torch.set_num_threads(min(os.cpu_count() or 1, _MAX_THREADS))
    with quiet(folder.log, console):
        job = Job(config, folder, console, started)
        try:
            try:
                job.run()
            except KeyboardInterrupt:
                job.stopped = True
            finally:
                job.close()
            job.conclude()
        except (OSError, RuntimeError, SafetensorError) as error:
            trouble = disk_trouble(error, folder.path)
            if trouble is None:
                raise
            raise UsageError(trouble) from error
    return 130 if job.stopped else 0


class Job:
    """One run, from its words at the start to its summary. `close` gives back what it holds."""

    def __init__(self, config: TrainConfig, folder: RunFolder, console: Console, started: float) -> None:
        self.stopped = False
        self._config, self._folder, self._console = config, folder, console
        self._started = started - _earlier_seconds(folder)
        self._steps = 0
        self._log = EpisodeLog()
        self._before: Evaluation | None = None
        self._after: Evaluation | None = None
        self._player: EnginePlayer | None = None

    def run(self) -> None:
        """Do it all; `stopped` says whether Ctrl-C ended it before its last evaluation."""
        with self._console.status("loading the tasks and the model"):
            training, held_out = training_and_held_out(self._config)
            model, tokenizer = load_model(self._config.model)
            template = check_template(self._config.model, tokenizer)
            args = arguments_of(self._config, self._folder)
            torch.nn.Module.to(model, args.device)
            agent = agent_of(self._config, args, model, tokenizer)
            self._player = player = EnginePlayer(self._engine(agent))
            proved = prove(self._config.env_spec, [*training, *held_out], player)
            recorder = RecordingPlayer(player, agent, self._log, self._folder)
            trainer = trainer_of(self._config, args, recorder, training, (model, tokenizer))
        self._say("  ".join(template))
        references = f"; {proved} scripted references all succeed" if proved else ""
        self._say(f"{len(training)} training tasks, {len(held_out)} held-out ones to be played{references}")
        repeated = also_in_training(training, held_out)
        if repeated:
            self._say(f"{repeated} of the held-out tasks occur in training, too: their figures show no generality")
        self._take_up()
        self._before = self._evaluate("before", held_out, agent)
        self._write_summary()
        show_figures(self._console, self._before)
        self._train(trainer, recorder)
        save_final(trainer, tokenizer, self._folder.final)
        if not self.stopped:
            agent.drop_caches()
            self._after = self._evaluate("after", held_out, agent)

    def close(self) -> None:
        """End the worker processes and the sandboxes. Closing twice is allowed."""
        self._log.close()
        if self._player is not None:
            self._player.close()
            self._player = None
        close_pools()

    def conclude(self) -> None:
        """Write the summary, draw the learning curve and say, in one screen, what came of the run."""
        self._write_summary()
        figures = self._figures()
        rows = list(read_lines(self._folder.metrics))
        title = f"{self._config.env_name}, {self._config.model} model, {self._steps} steps"
        save_learning_curve(
            rows, {name: figure for name, figure in figures.items() if figure}, title, self._folder.curve
        )
        console = self._console
        if self._before and self._after:
            console.rule(Text(f"{self._config.env_name} after {self._steps} steps"))
            show_figures(console, self._before, self._after)
            show_one_episode(console, self._before, self._after)
            console.print(Text(verdict_words(figures["before"], figures["after"]), style="bold"))
            if rows and all(row["groups/flat"] == 1 for row in rows):
                words = "No group had episodes of different reward, and there is nothing to learn from equal ones."
                console.print(words, soft_wrap=True)
        if self.stopped:
            again = f"python -m trainers.grpo out={self._folder.path} resume=true"
            console.print(Text(f"stopped after {self._steps} steps; go on with: {again}", style="bold"), soft_wrap=True)
        names = "  ".join(str(path.relative_to(self._folder.path)) for path in self._folder.files())
        console.print(Text(f"{self._seconds():.0f} s; in {self._folder.path}: {names}"), soft_wrap=True)

    # Steps of the way

    def _say(self, words: str) -> None:
        self._console.print(Text(words, style="dim"))

    def _engine(self, agent: TransformersAgent) -> RolloutEngine:
        options = self._config.rollout
        return RolloutEngine(
            agent,
            self._config.env_spec,
            options.limits(),
            concurrency=options.concurrency,
            workers=options.workers,
            retries=options.retries,
            on_end=self._log,
        )

    def _take_up(self) -> None:
        """Take up where an earlier process stopped: forget what it did after its last checkpoint, count the rest."""
        if not self._config.resume:
            return
        checkpoint = last_checkpoint(self._folder.checkpoints)
        self._steps = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
        self._folder.rewind(self._steps)
        self._log.count_earlier(sorted(self._folder.trajectories.rglob("*.jsonl")))

    def _evaluate(self, name: str, tasks: Sequence[Task], agent: TransformersAgent) -> Evaluation:
        """Play the held-out tasks greedily and sampled; seeds are the same before and after."""
        played: dict[str, list[Trajectory]] = {}
        with open_display(self._console, f"{name}: held-out tasks", 2 * len(tasks)) as display:
            for kind, view in (("greedy", agent.with_temperature(0.0)), ("sampled", agent)):
                path = self._folder.evaluation_records(name, kind)
                found = recorded(path, [task.id for task in tasks])
                if found is None:
                    path.unlink(missing_ok=True)
                    done = len(tasks) * len(played)
                    self._log.begin(path, _Counter(display, done))
                    seed = derive_seed(self._config.seed, "evaluate", kind)
                    assert self._player is not None
                    found = self._player.play(tasks, seed=seed, agent=view)
                played[kind] = found
        self._log.close()
        return Evaluation(**played)

    def _train(self, trainer: EnvGRPOTrainer, recorder: RecordingPlayer) -> None:
        """Train to the last step, or to the one in hand when Ctrl-C comes."""
        trainer.remove_callback(PrinterCallback)
        checkpoint = last_checkpoint(self._folder.checkpoints) if self._config.resume else None
        display = open_display(self._console, "training", self._config.steps, self._steps)
        with display, Interruption(self._tell_stopping) as interruption:
            trainer.add_callback(StepCallback(recorder, display, interruption, self._folder, self._reach))
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        self.stopped = interruption.requested

    def _reach(self, step: int, *, saved: bool) -> None:
        """Note that a step is done; one with a checkpoint is worth a summary."""
        self._steps = step
        if saved:
            self._write_summary()

    def _tell_stopping(self) -> None:
        self._console.print(Text("stopping after this step; Ctrl-C again stops at once", style="yellow"))

    # What is left behind

    def _figures(self) -> dict[str, Any]:
        pairs = (("before", self._before), ("after", self._after))
        return {name: evaluation.figures() if evaluation else None for name, evaluation in pairs}

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _write_summary(self) -> None:
        summary = {
            "env": self._config.env.id,
            "model": self._config.model,
            "seed": self._config.seed,
            "steps": self._steps,
            "stopped": self.stopped,
            "seconds": round(self._seconds(), 1),
            **self._figures(),
            "episodes": self._log.count,
            "unscored": self._log.unscored,
        }
        write_whole(self._folder.summary, json.dumps(summary, indent=2) + "\n")


class _Counter:
    """Advances a display by one for each episode."""

    def __init__(self, display: Display, done: int) -> None:
        self._display, self._done = display, done

    def __call__(self, trajectory: Trajectory) -> None:
        self._done += 1
        self._display.advance(self._done)


def _earlier_seconds(folder: RunFolder) -> float:
    """Return the seconds of the processes before this one, as far as they wrote a summary."""
    if not folder.summary.exists():
        return 0.0
    return float(json.loads(folder.summary.read_text(encoding="utf-8"))["seconds"])
