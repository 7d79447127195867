"""The trainer: TRL's GRPO on episodes that a player plays in an environment.

TRL 1.16 keeps the model, the advantages, the losses, the optimiser and the checkpoints. Added to it are: episodes in
place of completions, unscored episodes that leave no trace in the update, truncation by stop reason, importance
correction for whatever engine sampled, and a resume that repeats an unbroken run. What is relied on in TRL is held by
contract tests.
"""

import logging
from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import Any, cast

import torch
from accelerate.utils import gather_object
from peft import PeftConfig
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from envs import Task
from rollout.trajectory import Trajectory, derive_seed
from trainers.batches import MEAN_SCORED, SCORED, Batch
from trainers.checks import check
from trainers.loss import CorrectedLossTrainer
from trainers.metrics import EpisodeFigures, completion_metrics, episode_metrics, group_metrics
from trainers.playing import Player
from trainers.resuming import load_position, save_position
from trainers.rows import CUT_SHORT, dataset_of, row_of
from trainers.sampling import EpochSampler
from trainers.timing import OptimiserClock, Stopwatch

_log = logging.getLogger("toolgym.trainers")


def rubric(prompts: Sequence[Any], reward: Sequence[float | None], **_: Any) -> list[float | None]:
    """Return the episodes' rewards: the one reward function that TRL is given."""
    return list(reward)


class EnvGRPOTrainer(CorrectedLossTrainer):
    """GRPO on episodes. Takes a model, not a name, since the player's agent shares it.

    Args:
        model: the policy. The player has to sample from these very weights.
        args: TRL's configuration. `max_completion_length` bounds an episode's tokens after its prompt.
        player: plays the tasks.
        tasks: the training tasks, all of one class.
        processing_class: the tokenizer that is saved with the checkpoints and names the padding token.
        peft_config: an adapter to train in place of the model.
        callbacks: as `transformers.Trainer` takes them.

    Raises:
        ValueError: an option of `args` that has no effect here, or fewer tasks than a generation batch holds.
        TypeError: tasks of several classes.
    """

    model: PreTrainedModel

    def __init__(
        self,
        model: PreTrainedModel,
        args: GRPOConfig,
        *,
        player: Player,
        tasks: Sequence[Task],
        processing_class: PreTrainedTokenizerBase,
        peft_config: PeftConfig | None = None,
        callbacks: list[TrainerCallback] | None = None,
    ) -> None:
        check(args, tasks)
        dataset = dataset_of(tasks)
        self._max_tokens, self._group_size = cast(int, args.max_completion_length), cast(int, args.num_generations)
        self._player = player
        self._task_class = type(tasks[0])
        self._rows: list[dict[str, Any]] = []
        self._played: list[Trajectory] = []
        self._stopwatch = Stopwatch()
        super().__init__(
            model=model,
            args=args,
            reward_funcs=[rubric],
            train_dataset=dataset,
            processing_class=processing_class,
            peft_config=peft_config,
            callbacks=callbacks,
        )
        # Set here rather than passed: TRL 1.16 warns that the argument is experimental, which its pin answers.
        self.rollout_func = self._play
        # TRL 1.16 takes an episode that ends on a tool result for truncated; `_settle` goes by the stop reason.
        self._drops_truncated, self.mask_truncated_completions = self.mask_truncated_completions, False
        self.add_callback(OptimiserClock(self._metrics["train"]))

    # Episodes

    def _get_train_sampler(self, dataset: Any = None) -> EpochSampler:
        args = self.args
        return EpochSampler(
            cast(Sized, self.train_dataset if dataset is None else dataset),
            mini_repeat_count=self._group_size,
            batch_size=cast(int, args.generation_batch_size) // self._group_size,
            repeat_count=self.num_iterations * cast(int, args.steps_per_generation),
            shuffle=self.shuffle_dataset,
            seed=args.seed if args.data_seed is None else args.data_seed,
            epoch=lambda: int(self.state.epoch or 0),
        )

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Batch:
        self._rows = inputs
        with self._stopwatch.timed("prepare"):
            batch = self._settle(super()._generate_and_score_completions(inputs))
            self._record_episodes()
        return batch

    def _play(self, prompts: list[Any], trainer: GRPOTrainer) -> dict[str, list[Any]]:
        """Play the rows of this generation: TRL's `rollout_func`."""
        tasks = [self._task_class.model_validate_json(row["task"]) for row in self._rows]
        seed = derive_seed(self.args.seed, "train", self._step, self.accelerator.process_index)
        with self._stopwatch.timed("rollout"), _evaluating(self.model):
            self._played = self._player.play(tasks, seed=seed)
        if len(self._played) != len(tasks):
            raise ValueError(f"the player returned {len(self._played)} trajectories for {len(tasks)} tasks")
        blank_id = self._tokenizer.pad_token_id
        rows = [row_of(t, blank_id=blank_id, max_tokens=self._max_tokens) for t in self._played]
        return {
            "prompt_ids": [list(row.prompt_ids) for row in rows],
            "completion_ids": [list(row.completion_ids) for row in rows],
            "env_mask": [list(row.env_mask) for row in rows],
            "logprobs": [list(row.logprobs) for row in rows],
            "reward": [trajectory.reward for trajectory in self._played],
        }

    def _calculate_rewards(
        self, inputs: list[dict[str, Any]], prompts: list[Any], completions: list[Any], completion_ids_list: list[Any]
    ) -> Tensor:
        """Return the reward of every process's episodes, (B, 1), NaN where unscored.

        TRL's own would log the whole row, hidden answer included, whenever an episode is unscored.
        """
        rewards = rubric(prompts, reward=[row["reward"] for row in inputs])
        column = [[float("nan") if reward is None else reward] for reward in rewards]
        gathered: Tensor = self.accelerator.gather(
            torch.tensor(column, dtype=torch.float32, device=self.accelerator.device)
        )
        return gathered

    def _settle(self, batch: Batch) -> Batch:
        """Mark what is scored, silence what is truncated if so configured, and count anew what TRL counted."""
        device = self.accelerator.device
        scored = torch.tensor([t.scored for t in self._played], device=device)
        counted = scored
        if self._drops_truncated:
            counted = scored & torch.tensor([t.stop not in CUT_SHORT for t in self._played], device=device)
        batch["tool_mask"] = batch["tool_mask"] * counted.unsqueeze(1)
        tokens = (batch["completion_mask"] * batch["tool_mask"]).sum()
        batch["num_items_in_batch"] = self.accelerator.gather(tokens).sum()
        episodes = self.accelerator.gather(scored.sum()).sum()
        batch[SCORED] = scored
        batch[MEAN_SCORED] = episodes / (self.accelerator.num_processes * self.args.steps_per_generation)
        return batch

    # Steps

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Run forward and backward of one micro-batch, playing a new batch first if it is due."""
        with self._stopwatch.timed("loss"):
            loss: Tensor = super().training_step(model, inputs, num_items_in_batch)  # type: ignore[no-untyped-call]  # nor here
        if self.accelerator.sync_gradients:
            for part, seconds in ({"rollout": 0.0, "prepare": 0.0} | self._stopwatch.take()).items():
                self._metrics["train"][f"seconds/{part}"].append(seconds)
            self._skip_if_unscored(model)
        return loss

    def _skip_if_unscored(self, model: Any) -> None:
        """Drop the gradient of a step without a scored episode: momentum alone would move the weights."""
        scored = self.accelerator.reduce(torch.tensor(self._scored_in_window, device=self.accelerator.device))
        self._scored_in_window = 0
        if int(scored) == 0:
            _log.warning(
                "step %d: every episode is unscored, so nothing is learnt from it; first error: %s",
                self.state.global_step + 1,
                next((t.error for t in self._played if t.error), "unknown"),
            )
            if self.accelerator.scaler is None:  # a float16 scaler insists on gradients; zero ones have to do
                model.zero_grad(set_to_none=True)

    # Figures

    def _record_episodes(self) -> None:
        episodes: list[EpisodeFigures] = gather_object([EpisodeFigures.of(t) for t in self._played])
        for name, value in (episode_metrics(episodes) | group_metrics(episodes, self._group_size)).items():
            self._metrics["train"][name].append(value)
        for name, value in completion_metrics(episodes).items():
            self._metrics["train"][name][-1] = value

    # Checkpoints

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = ["prompt", "task"]  # type: ignore[assignment]  # transformers infers None

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[no-untyped-call]  # nor here
        save_position(self, self._get_output_dir(trial=trial))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[no-untyped-call]  # nor here
        if checkpoint is not None:
            load_position(self, checkpoint)


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Sample without dropout and gradient checkpointing."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
