"""Making the embedded model: demonstrations, lessons, the tokenizer, and a short run of the whole."""

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from agents.embedded import load_embedded
from envs import EnvSpec, find_env
from rollout.cli import load_config, parse_words
from sandboxes.errors import UsageError
from trainers.demonstrations import Demonstration, demonstrations
from trainers.lessons import OTHERS_WEIGHT, Lesson, batches, encode
from trainers.schooling import WarmStartConfig, command, make, new_model, weighted_loss
from trainers.vocabulary import build_tokenizer
from trainers.warm_start import main

SMALL = (
    *("steps=6", "habit_steps=2", "batch=4", "threads=1", "calculator.tasks=24", "code_exec.tasks=24"),
    *("shape.vocabulary=400", "shape.hidden=32", "shape.layers=1", "shape.feed_forward=32"),
)
ENVIRONMENTS = ("calculator", "code_exec")


def small(**words: Any) -> WarmStartConfig:
    return load_config(WarmStartConfig, parse_words([*SMALL, *(f"{key}={value}" for key, value in words.items())]))


def shown(name: str, habit_share: float, tasks: int = 40, seed: int = 0) -> list[Demonstration]:
    return list(demonstrations(name, tasks, habit_share=habit_share, seed=seed))


def rewards(name: str, played: list[Demonstration]) -> list[float]:
    """Play what the demonstrations say in the environment."""
    env = EnvSpec(find_env(name), {"train_tasks": len(played)}).make()
    found = []
    for task, demonstration in zip(env.tasks(env.config, "train"), played, strict=True):
        env.reset(options={"task": task})
        found.append([env.step(m) for m in demonstration.messages if m.role == "assistant"][-1][1])
    return found


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_references_alone_earn_the_whole_reward(name):
    assert all(math.isclose(reward, 1) for reward in rewards(name, shown(name, 0.0)))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_habit_fails_and_takes_one_message(name):
    played = shown(name, 1.0)
    assert max(rewards(name, played)) < 0.5
    assert {sum(m.role == "assistant" for m in demonstration.messages) for demonstration in played} == {1}


def test_the_share_of_habits_is_drawn_by_the_seed():
    assert shown("calculator", 0.5) == shown("calculator", 0.5)
    assert shown("calculator", 0.5) != shown("calculator", 0.5, seed=1)


def test_demonstrations_are_of_training_tasks():
    env = EnvSpec(find_env("calculator"), {"test_tasks": 400}).make()
    held_out = {task.prompt for task in env.tasks(env.config, "test")}
    assert held_out.isdisjoint(demonstration.messages[-2].content for demonstration in shown("calculator", 1.0, 400))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_exactly_what_the_assistant_writes_has_full_weight(name):
    tokenizer = load_embedded()[1]
    played = shown(name, 0.0)
    for demonstration, lesson in zip(played, encode(played, tokenizer), strict=True):
        written = tokenizer.decode([id for id, mine in zip(lesson.ids, lesson.mask, strict=True) if mine])
        turns = [m for m in demonstration.messages if m.role == "assistant"]
        assert written.count("<|im_end|>") == len(turns)
        assert json.dumps(json.loads(turns[0].tool_calls[0].arguments)) in written
        assert demonstration.messages[1].content not in written


def test_batches_hold_every_lesson_once_and_padding_weighs_nothing():
    lessons = [Lesson([7] * length, [0] + [1] * (length - 1)) for length in range(2, 42)]
    made = list(batches(lessons, 4, seed=3, padding_id=0))
    assert sorted(row.count_nonzero().item() for batch in made for row in batch.ids) == list(range(2, 42))
    for batch in made:
        assert torch.equal(batch.weights == 0, batch.ids == 0)
        assert batch.weights[:, 0].tolist() == pytest.approx([OTHERS_WEIGHT] * 4)


def test_batches_that_are_not_sorted_mix_lengths():
    lessons = [Lesson([7] * length, [1] * length) for length in (2, 40)] * 50
    widths = [[b.ids.shape[1] for b in batches(lessons, 10, seed=0, padding_id=0, sorted_together=n)] for n in (1, 10)]
    assert (widths[0].count(40), widths[1].count(40)) == (10, 5)


def test_batches_follow_their_seed():
    lessons = [Lesson([n + 1, 1], [1, 1]) for n in range(20)]
    first, again, other = ([b.ids.tolist() for b in batches(lessons, 4, seed=s, padding_id=0)] for s in (0, 0, 1))
    assert first == again != other


def test_padding_changes_no_loss():
    tokenizer = build_tokenizer(shown("calculator", 0.0), 400)
    model = new_model(small().shape, tokenizer, 0)
    lessons = encode(shown("calculator", 0.0, 8), tokenizer)
    (together,) = batches(lessons, len(lessons), seed=0, padding_id=tokenizer.pad_token_id)
    apart = list(batches(lessons, 1, seed=0, padding_id=tokenizer.pad_token_id))
    weights = [float(batch.weights[:, 1:].sum()) for batch in apart]
    losses = [weighted_loss(model, batch).item() for batch in apart]
    mean = sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights)
    assert weighted_loss(model, together).item() == pytest.approx(mean, abs=1e-5)


def test_a_vocabulary_that_holds_not_even_the_bytes_is_refused():
    with pytest.raises(ValueError, match="size=200: must be at least 261"):
        build_tokenizer([], 200)


def test_the_same_configuration_gives_the_same_files(tmp_path):
    for name in ("a", "b"):
        make(small(out=tmp_path / name, eval_tasks=0), Console(quiet=True))
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_another_seed_gives_another_model(tmp_path):
    for seed in (0, 1):
        make(small(out=tmp_path / str(seed), eval_tasks=0, seed=seed), Console(quiet=True))
    assert digests(tmp_path / "0")["model.safetensors"] != digests(tmp_path / "1")["model.safetensors"]


def test_the_figures_of_held_out_tasks_are_shown_at_the_end(tmp_path, capsys):
    words = [*SMALL, f"out={tmp_path / 'made'}", "eval_tasks=2"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "loss" in said
    assert "calculator, temperature 0: 0.000" in said
    assert "code_exec, temperature 1: 0.000" in said


def test_help_lists_the_options(capsys):
    assert command(["help"]) == 0
    assert "calculator.habit_share=0.7" in capsys.readouterr().out


def test_a_mistake_on_the_line_is_said():
    with pytest.raises(UsageError, match="did you mean 'steps'"):
        command(["stepz=3"])


@pytest.mark.slow
def test_the_shipped_tokenizer_is_the_one_that_the_defaults_make():
    config = WarmStartConfig()
    shown_by_default = [
        *demonstrations("calculator", config.calculator.tasks, habit_share=0, seed=0),
        *demonstrations("code_exec", config.code_exec.tasks, habit_share=0, seed=0),
    ]
    made = build_tokenizer(shown_by_default, config.shape.vocabulary)
    assert made.get_vocab() == load_embedded()[1].get_vocab()


@pytest.mark.slow
def test_a_short_run_learns_to_use_the_tools(tmp_path, capsys):
    words = ("steps=400", "habit_steps=1", "calculator.habit_share=0", "code_exec.habit_share=0", "eval_tasks=64")
    assert main([*words, f"out={tmp_path / 'made'}"]) == 0
    figures = dict(re.findall(r"(\w+, temperature [01]): ([\d.]+)", capsys.readouterr().out))
    assert float(figures["calculator, temperature 0"]) > 0.5
    assert float(figures["code_exec, temperature 0"]) > 0.2


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
