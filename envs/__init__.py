"""Environments: what a policy is given, may do, and is scored by."""

from envs.base import EnvConfig, Split, ToolEnv
from envs.messages import Message, Observation, ToolCall
from envs.registry import EnvSpec, env_class, find_env, known_envs, register
from envs.rubric import Criterion, Episode, Rubric, RubricError, Verdict
from envs.tasks import Task
from envs.tools import Tool, ToolError, tool

__all__ = [
    "Criterion",
    "EnvConfig",
    "EnvSpec",
    "Episode",
    "Message",
    "Observation",
    "Rubric",
    "RubricError",
    "Split",
    "Task",
    "Tool",
    "ToolCall",
    "ToolEnv",
    "ToolError",
    "Verdict",
    "env_class",
    "find_env",
    "known_envs",
    "register",
    "tool",
]

register(id="calculator-v0", entry_point="envs.calculator.env:CalculatorEnv")
register(id="code_exec-v0", entry_point="envs.code_exec.env:CodeExecEnv")
