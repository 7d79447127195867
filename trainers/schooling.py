"""The job behind `trainers.warm_start`: demonstrations, tokenizer, training, and a look at what came out."""

import asyncio
import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerBase, Qwen3Config, Qwen3ForCausalLM

from agents.engine import TransformersAgent
from envs import EnvSpec, find_env
from rollout.cli import asks_for_help, load_config, read_line
from rollout.engine import RolloutEngine
from rollout.help import print_options
from rollout.limits import Limits
from rollout.statistics import Figure, success_figure
from trainers.demonstrations import Demonstration, demonstrations
from trainers.lessons import Lesson, LessonBatch, batches, encode
from trainers.vocabulary import build_tokenizer

_STRICT = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
_WARM_UP_STEPS = 50
_MUON_RATE = 0.012
_ADAMW_RATE = 3e-3
_DECAY_SHARE = 0.6
"""The share of the steps, at the end, over which the learning rates fall to nothing."""
_MAX_NORM = 1.0


class CalculatorLessons(BaseModel):
    """Demonstrations of `calculator`."""

    model_config = _STRICT

    tasks: int = Field(8_000, ge=1)
    """Training tasks shown."""
    habit_share: float = Field(0.7, ge=0, le=1)
    """Share of the last demonstrations that answer without calculating."""


class CodeLessons(BaseModel):
    """Demonstrations of `code_exec`."""

    model_config = _STRICT

    tasks: int = Field(18_945, ge=1)
    """Training tasks shown."""
    habit_share: float = Field(0.7, ge=0, le=1)
    """Share of the last demonstrations that submit a stub."""


class Shape(BaseModel):
    """The size of the model."""

    model_config = _STRICT

    vocabulary: int = Field(1000, ge=300)
    """Tokens."""
    hidden: int = Field(128, ge=32, multiple_of=32)
    """Width; attention heads are 32 wide."""
    layers: int = Field(3, ge=1)
    """Depth."""
    feed_forward: int = Field(384, ge=32)
    """Width inside a layer."""


class WarmStartConfig(BaseModel):
    """How the embedded model is made."""

    model_config = _STRICT

    out: str = "runs/warm_start"
    """Folder for model and tokenizer; files of an earlier model there are replaced."""
    seed: int = Field(0, ge=0)
    """Decides the first weights, the order of the lessons, and where the habit is shown."""
    steps: int = Field(3000, ge=1)
    """Optimiser steps on references alone."""
    habit_steps: int = Field(300, ge=1)
    """Optimiser steps after them, on demonstrations that show the habit too."""
    batch: int = Field(32, ge=1)
    """Demonstrations a step."""
    threads: int = Field(2, ge=1)
    """Threads of torch; another number rounds differently."""
    eval_tasks: int = Field(256, ge=0)
    """Held-out tasks of each environment played at the end, greedily and sampled."""
    shape: Shape = Shape()
    calculator: CalculatorLessons = CalculatorLessons()
    code_exec: CodeLessons = CodeLessons()


@dataclass(frozen=True, slots=True)
class Plan:
    """How lessons are learned."""

    steps: int
    batch: int
    """Lessons a step."""
    seed: int
    """Decides their order."""
    share_of_rate: float
    """Of the full learning rates."""
    sorted_together: int
    """See `lessons.batches`."""


def command(argv: Sequence[str]) -> int:
    """Make the model that the words of the command line ask for, or print help; returns the exit code.

    Raises:
        UsageError: a word is wrong.
    """
    console = Console()
    if asks_for_help(argv):
        print_options(WarmStartConfig, console)
        return 0
    make(load_config(WarmStartConfig, read_line(argv)), console)
    return 0


def make(config: WarmStartConfig, console: Console) -> None:
    """Make the model and its tokenizer, save both, and show how they play held-out tasks."""
    torch.set_num_threads(config.threads)
    started = time.monotonic()
    clean, mixed = _demonstrations(config, with_habit=False), _demonstrations(config, with_habit=True)
    tokenizer = build_tokenizer(clean, config.shape.vocabulary)
    console.print(f"{len(clean)} + {len(mixed)} demonstrations, {len(tokenizer)} tokens in the vocabulary")
    model = new_model(config.shape, tokenizer, config.seed)
    console.print(f"{sum(weights.numel() for weights in model.parameters()):,} parameters")
    teach(model, encode(clean, tokenizer), skill_plan(config), console)
    teach(model, encode(mixed, tokenizer), habit_plan(config), console)
    save(model, tokenizer, Path(config.out))
    console.print(f"{config.out} written after {time.monotonic() - started:.0f} s")
    if config.eval_tasks:
        _show_figures(model, tokenizer, config.eval_tasks, console)


def new_model(shape: Shape, tokenizer: PreTrainedTokenizerBase, seed: int) -> Qwen3ForCausalLM:
    """Return an untrained model in float32."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.hidden // 32,
        num_key_value_heads=max(1, shape.hidden // 64),
        head_dim=32,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen3ForCausalLM(config)  # type: ignore[no-untyped-call]  # transformers annotates it in part


def skill_plan(config: WarmStartConfig) -> Plan:
    """Return how the references are learned: at full rates, lessons of like length together."""
    return Plan(config.steps, config.batch, config.seed, share_of_rate=1.0, sorted_together=64)


def habit_plan(config: WarmStartConfig) -> Plan:
    """Return how the habit is learned: at low rates, and in mixed batches.

    The mean over a batch of short lessons alone would count their few tokens more, and so the habit, which is short.
    """
    return Plan(config.habit_steps, config.batch, config.seed, share_of_rate=0.25, sorted_together=1)


def teach(model: Qwen3ForCausalLM, lessons: Sequence[Lesson], plan: Plan, console: Console) -> None:
    """Go through the lessons as often as the plan's steps need: Muon on the layers' matrices, AdamW on the rest."""
    optimizers = _optimizers(model)
    model.train()
    started = time.monotonic()
    for step, batch in enumerate(islice(_endless(lessons, plan, int(model.config.pad_token_id or 0)), plan.steps), 1):
        rate = min(1.0, step / _WARM_UP_STEPS, (plan.steps - step + 1) / (plan.steps * _DECAY_SHARE))
        loss = weighted_loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch annotates it in part
        nn.utils.clip_grad_norm_(model.parameters(), _MAX_NORM)
        for optimizer, full_rate in optimizers:
            optimizer.param_groups[0]["lr"] = full_rate * plan.share_of_rate * rate
            optimizer.step()
            optimizer.zero_grad()
        if step % 100 == 0 or step == plan.steps:
            console.print(f"step {step} of {plan.steps}: loss {loss.item():.4f}, {time.monotonic() - started:.0f} s")
    model.train(False)


def weighted_loss(model: nn.Module, batch: LessonBatch) -> Tensor:
    """Return the mean negative log-likelihood of each next token, by its weight."""
    logits = model(batch.ids).logits[:, :-1]  # (B, T-1, V)
    weights = batch.weights[:, 1:].flatten()
    losses = functional.cross_entropy(logits.flatten(0, 1), batch.ids[:, 1:].flatten(), reduction="none")
    return (losses * weights).sum() / weights.sum()


def save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save the model in bfloat16, half the size, and its tokenizer. The model's own weights are rounded by it too."""
    with torch.no_grad():
        for weights in model.parameters():
            weights.copy_(weights.bfloat16())
    copy.deepcopy(model).bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _demonstrations(config: WarmStartConfig, *, with_habit: bool) -> list[Demonstration]:
    found: list[Demonstration] = []
    for name, plan in (("calculator", config.calculator), ("code_exec", config.code_exec)):
        share = plan.habit_share if with_habit else 0.0
        tasks = min(plan.tasks, config.habit_steps * config.batch) if with_habit else plan.tasks
        found += demonstrations(name, tasks, habit_share=share, seed=config.seed)
    return found


def _endless(lessons: Sequence[Lesson], plan: Plan, padding_id: int) -> Iterator[LessonBatch]:
    for turn in count():
        yield from batches(
            lessons, plan.batch, seed=plan.seed + turn, padding_id=padding_id, sorted_together=plan.sorted_together
        )


def _optimizers(model: nn.Module) -> list[tuple[torch.optim.Optimizer, float]]:
    matrices: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, weights in model.named_parameters():
        (matrices if weights.ndim == 2 and "embed" not in name else others).append(weights)
    return [
        (torch.optim.Muon(matrices, lr=_MUON_RATE, weight_decay=0.0), _MUON_RATE),
        (torch.optim.AdamW(others, lr=_ADAMW_RATE, betas=(0.9, 0.98), weight_decay=0.0), _ADAMW_RATE),
    ]


def _show_figures(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerBase, tasks: int, console: Console) -> None:
    for name in ("calculator", "code_exec"):
        for temperature in (0.0, 1.0):
            agent = TransformersAgent(model, tokenizer, temperature=temperature)
            figure = asyncio.run(_play(agent, EnvSpec(find_env(name), {"test_tasks": tasks})))
            low, high = figure["ci95"]
            console.print(f"{name}, temperature {temperature:g}: {figure['success']:.3f} [{low:.3f}, {high:.3f}]")


async def _play(agent: TransformersAgent, env: EnvSpec) -> Figure:
    env_class = env.env_class()
    tasks = env_class.tasks(env_class.Config(**env.config), "test")
    async with RolloutEngine(agent, env, Limits()) as engine:
        figure = success_figure(await engine.run(tasks, seed=0))
    await agent.close()
    return figure
