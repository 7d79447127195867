"""A tiny policy, tasks, and a player that samples from it without an environment."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from trl import GRPOConfig, GRPOTrainer

from envs import Message, Task
from rollout.trajectory import StopReason, Trajectory, Turn, derive_seed
from trainers.trainer import EnvGRPOTrainer

VOCABULARY = 32
PAD, END = 0, 1


class Word(Task):
    """A task of these tests: `answer` stands for what a rubric would need."""

    answer: int = 0


class SamplingPlayer:
    """Samples two turns of a policy with a fixed tool result between them; the reward is the share of low ids.

    `fails(task_id, sample)` says which episodes come back unscored, `stops` how each one stopped.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        fails: Callable[[str, int], bool] = lambda task_id, sample: False,
        stops: Callable[[str, int], StopReason] = lambda task_id, sample: StopReason.ANSWERED,
    ) -> None:
        self.model, self.fails, self.stops = model, fails, stops
        self.calls: list[tuple[list[str], int]] = []
        self.trajectories: list[Trajectory] = []
        self.logprob_error = 0.0

    def play(self, tasks: Sequence[Task], *, seed: int) -> list[Trajectory]:
        self.calls.append(([task.id for task in tasks], seed))
        seen: Counter[str] = Counter()
        parts = []
        for task in tasks:
            parts.append((task, seen[task.id], derive_seed(seed, task.id, seen[task.id])))
            seen[task.id] += 1
        draws = [torch.Generator().manual_seed(episode_seed) for _, _, episode_seed in parts]
        openings = [(2, 3 + int(task.id) % 20) for task, _, _ in parts]
        first = self._turns(openings, [4] * len(parts), draws)
        results = [(*turn.prompt_ids, *turn.completion_ids, 30, 31, 30) for turn in first]
        second = self._turns(results, [3 + sample % 3 for _, sample, _ in parts], draws)
        turns = zip(first, second, strict=True)
        self.trajectories = [self._episode(*part, both) for part, both in zip(parts, turns, strict=True)]
        return self.trajectories

    def _episode(self, task: Task, sample: int, seed: int, turns: tuple[Turn, ...]) -> Trajectory:
        common: dict[str, Any] = {
            "env": "words-v0",
            "task_id": task.id,
            "task": task.model_dump(),
            "sample": sample,
            "seed": seed,
            "opening": (Message.user(task.prompt),),
        }
        if self.fails(task.id, sample):
            error = "SandboxError: gone"
            return Trajectory(**common, turns=(), stop=StopReason.FAILED, reward=None, error=error)
        sampled = [token for turn in turns for token in turn.completion_ids]
        reward = sum(token < VOCABULARY // 2 for token in sampled) / len(sampled)
        return Trajectory(
            **common,
            turns=turns,
            stop=self.stops(task.id, sample),
            reward=reward,
            scores={"low": reward, "always": 1.0},
            success=reward > 0.5,
        )

    def _turns(self, prompts: list[tuple[int, ...]], lengths: list[int], draws: list[torch.Generator]) -> list[Turn]:
        """Sample a turn of every episode; the prompts are of one length."""
        ids, taken = torch.tensor(prompts), []
        for _ in range(max(lengths)):
            with torch.no_grad():
                scores = torch.log_softmax(self.model(ids).logits[:, -1].float(), dim=-1)
            chosen = [torch.multinomial(row.exp(), 1, generator=draw) for row, draw in zip(scores, draws, strict=True)]
            ids = torch.cat([ids, torch.stack(chosen)], dim=1)
            taken.append(scores.gather(1, ids[:, -1:]) + self.logprob_error)
        logprobs = torch.cat(taken, dim=1).tolist()
        return [
            Turn(
                action=Message.assistant("…"),
                observation=(),
                prompt_ids=prompt,
                completion_ids=tuple(ids[row, len(prompt) : len(prompt) + length].tolist()),
                logprobs=tuple(logprobs[row][:length]),
                tool_calls=1,
                tool_errors=("refused",),
            )
            for row, (prompt, length) in enumerate(zip(prompts, lengths, strict=True))
        ]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Threads that wait for each other cost more than these models take."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    words = {"<pad>": PAD, "<end>": END} | {f"w{index}": index for index in range(2, VOCABULARY)}
    core = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="<end>")


@pytest.fixture
def make_model() -> Callable[[], PreTrainedModel]:
    def make(seed: int = 0) -> PreTrainedModel:
        torch.manual_seed(seed)
        config = Qwen3Config(
            vocab_size=VOCABULARY,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=128,
            tie_word_embeddings=True,
            pad_token_id=PAD,
            eos_token_id=END,
            bos_token_id=None,
        )
        return Qwen3ForCausalLM(config)

    return make


@pytest.fixture
def make_args(tmp_path: Path) -> Callable[..., GRPOConfig]:
    def make(**changes: Any) -> GRPOConfig:
        fixed = {
            "output_dir": str(tmp_path / "out"),
            "per_device_train_batch_size": 8,
            "num_generations": 4,
            "max_completion_length": 32,
            "learning_rate": 1e-2,
            "max_steps": 1,
            "logging_steps": 1,
            "save_strategy": "no",
            "loss_type": "dr_grpo",
            "scale_rewards": "none",
            "bf16": False,
            "use_cpu": True,
            "gradient_checkpointing": False,
            "dataloader_pin_memory": False,
            "disable_tqdm": True,
            "report_to": "none",
            "seed": 0,
        }
        return GRPOConfig(**fixed | changes)

    return make


@pytest.fixture
def tasks() -> list[Word]:
    return [Word(id=str(index), prompt=f"w{index + 2} w3") for index in range(6)]


@pytest.fixture
def make_trainer(
    make_model: Callable[[], PreTrainedModel],
    make_args: Callable[..., GRPOConfig],
    tokenizer: PreTrainedTokenizerFast,
    tasks: list[Word],
) -> Callable[..., EnvGRPOTrainer]:
    """Builds a trainer on a fresh tiny policy; keyword arguments change `GRPOConfig`, but for those named."""

    def make(
        player: Any = None, fails: Any = None, stops: Any = None, peft_config: Any = None, **changes: Any
    ) -> EnvGRPOTrainer:
        model = make_model()
        given = {name: value for name, value in {"fails": fails, "stops": stops}.items() if value is not None}
        player = player or SamplingPlayer(model, **given)
        args = make_args(**changes)
        trainer = EnvGRPOTrainer(
            model, args, player=player, tasks=tasks, processing_class=tokenizer, peft_config=peft_config
        )
        # transformers sets it when training starts; some tests call the loss without that
        trainer.current_gradient_accumulation_steps = args.gradient_accumulation_steps
        return trainer

    return make


@pytest.fixture
def make_stock(
    make_model: Callable[[], PreTrainedModel],
    make_args: Callable[..., GRPOConfig],
    tokenizer: PreTrainedTokenizerFast,
) -> Callable[..., GRPOTrainer]:
    """Builds TRL's own trainer with a rollout function and a reward function."""

    def make(rollout: Any, reward: Any, tools: Any = None, **changes: Any) -> GRPOTrainer:
        trainer = GRPOTrainer(
            model=make_model(),
            args=make_args(**changes),
            reward_funcs=[reward],
            train_dataset=Dataset.from_list([{"prompt": f"w{index}", "task": str(index)} for index in range(2, 6)]),
            processing_class=tokenizer,
            tools=tools,
        )
        trainer.rollout_func = rollout
        return trainer

    return make
