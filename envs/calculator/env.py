"""Arithmetic and word problems: the policy calculates with one tool and answers with the number alone."""

import json
from collections.abc import Iterator
from fractions import Fraction

from pydantic import Field

from envs.base import EnvConfig, Split, ToolEnv
from envs.calculator.arithmetic import evaluate, read_number
from envs.calculator.problems import CalculatorTask, problems
from envs.messages import Message, ToolCall
from envs.rubric import Episode, Rubric
from envs.tools import tool


class CalculatorConfig(EnvConfig):
    """What the user of `calculator` chooses."""

    max_turns: int = Field(4, ge=1)
    """Assistant messages an episode may have: a calculation and the answer, and two to recover from mistakes."""
    train_tasks: int = Field(4096, ge=1, le=100_000)
    """Problems to train on."""
    test_tasks: int = Field(512, ge=1, le=100_000)
    """Held-out problems; no wording and no expression of theirs occurs in training."""


def _final_text(episode: Episode[CalculatorTask]) -> str:
    """Return the text that ends the conversation; text beside a tool call is no answer."""
    last = episode.messages[-1]
    return last.content if last.role == "assistant" and not last.tool_calls else ""


def _correct(episode: Episode[CalculatorTask]) -> float:
    return float(read_number(_final_text(episode)) == Fraction(episode.task.answer))


def _only_a_number(episode: Episode[CalculatorTask]) -> float:
    return float(read_number(_final_text(episode)) is not None)


def _used_tool(episode: Episode[CalculatorTask]) -> float:
    return float(any(m.role == "tool" and not m.content.startswith("Error:") for m in episode.messages))


class CalculatorEnv(ToolEnv[CalculatorTask, CalculatorConfig]):
    """Arithmetic and word problems with an exact calculator; the reward is 1 for the right number, else 0."""

    system_prompt = "Use the calculator, then answer with the number alone."
    rubric = Rubric[CalculatorTask](
        {"correct": (1.0, _correct), "only_a_number": (0.0, _only_a_number), "used_tool": (0.0, _used_tool)}
    )

    @classmethod
    def tasks(cls, config: CalculatorConfig, split: Split) -> tuple[CalculatorTask, ...]:
        """Return the problems of a split; every part of their making is fixed, so they are the same everywhere."""
        return problems(split, config.train_tasks if split == "train" else config.test_tasks)

    def reference(self, task: CalculatorTask) -> Iterator[Message]:
        """Calculate the task's expression, then answer with its value."""
        arguments = json.dumps({"expression": task.expression})
        yield Message.assistant("", ToolCall(name="calculate", arguments=arguments, id="call_0"))
        yield Message.assistant(task.answer)

    @tool
    def calculate(self, expression: str) -> str:
        """Return the exact value of an arithmetic expression, as an integer or a fraction.

        Args:
            expression: Numbers with + - * / // % ** and parentheses, such as (47 + 38) * 6.
        """
        return str(evaluate(expression))
