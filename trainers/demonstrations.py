"""Scripted demonstrations: references of the environments on training tasks, and a bad habit on purpose.

A model that has only seen references would start where it should arrive. So a share of the demonstrations, drawn
without looking at the task, shows a habit instead: an answer without the calculator, or a stub in place of a program.
What the model then does at first is mostly the habit, while everything it needs to succeed is within its reach.
"""

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from envs import EnvSpec, Message, Task, ToolCall, ToolEnv, find_env

Env = ToolEnv[Any, Any]
Habit = Callable[[Env, Any], Message]


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One conversation to learn from."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...]
    """Schemas in the OpenAI function format."""


def demonstrations(name: str, tasks: int, *, habit_share: float, seed: int) -> Iterator[Demonstration]:
    """Yield a demonstration of each of the first `tasks` training tasks of an environment.

    Each of them is drawn on its own to be a habit, with the chance `habit_share`.

    Raises:
        UsageError: there is no such environment, or it has fewer tasks.
        KeyError: a share of habits is wanted of an environment that has none here.
    """
    env = EnvSpec(find_env(name), {"train_tasks": tasks}).make()
    rng = random.Random(f"{seed} {name}")
    try:
        for task in env.tasks(env.config, "train"):
            is_habit = rng.random() < habit_share
            yield demonstrate(env, task, [HABITS[name](env, task)] if is_habit else list(env.reference(task)))
    finally:
        env.close()


def demonstrate(env: Env, task: Task, actions: list[Message]) -> Demonstration:
    """Play assistant messages on a task. The last one is not carried out: nothing is judged here."""
    env.reset(options={"task": task})
    for action in actions[:-1]:
        env.step(action)
    return Demonstration((*env.messages, actions[-1]), tuple(tool.schema for tool in env.tools.values()))


def first_number(env: Env, task: Any) -> Message:
    """Answer with the first number of the problem, without calculating."""
    return Message.assistant(re.findall(r"\d+", task.prompt)[0])


def stub(env: Env, task: Any) -> Message:
    """Submit a function that does nothing."""
    arguments = json.dumps({"code": f"def f({task.parameters}):\n    pass"})
    return Message.assistant("", ToolCall(name="submit", arguments=arguments))


HABITS: Mapping[str, Habit] = {"calculator": first_number, "code_exec": stub}
"""By environment: what the shipped model does too often."""
