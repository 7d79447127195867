"""`ToolEnv`: a `gymnasium.Env` whose action is one assistant message.

An author writes a task class, a rubric, `tasks`, and methods marked `@tool`; optionally the hooks `begin`, `establish`
and `release` for what an episode owns. The policy's mistakes become short tool messages; any other exception of a tool
or a hook is a fault of ours and leaves `step`, so that the episode is unscored.
"""

import asyncio
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar, get_args, get_origin

import gymnasium
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from envs.messages import Message, Observation, ToolCall
from envs.rubric import Episode, Rubric
from envs.spaces import ActionSpace, ObservationSpace
from envs.tasks import Task
from envs.tools import Tool, ToolError, ToolErrorKind, tools_of

Split = Literal["train", "test"]


class EnvConfig(BaseModel):
    """What every environment lets its user choose; subclass it to add more."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_turns: int = Field(8, ge=1)
    """Assistant messages an episode may have; the next observation would come too late, so it is truncated."""
    max_result_bytes: int = Field(16_384, ge=256)
    """Bytes of one tool result that the policy is shown; the rest is cut, and the policy is told."""


T = TypeVar("T", bound=Task)
C = TypeVar("C", bound=EnvConfig)


class ToolEnv(gymnasium.Env[tuple[Message, ...], Message], Generic[T, C]):
    """An environment of tasks, tools and a rubric. Synchronous; one episode at a time; not thread-safe.

    Subclass it as `ToolEnv[MyTask, MyConfig]` and set `rubric` and `tasks`. `gymnasium.make` passes configuration
    fields as keyword arguments.

    Raises:
        TypeError: on subclassing, a tool without a schema or with a name that `ToolEnv` uses itself.
        pydantic.ValidationError: a configuration field is unknown or out of its range.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  # Gymnasium declares it so
    Task: ClassVar[type[Any]] = Task
    Config: ClassVar[type[Any]] = EnvConfig
    system_prompt: str = ""
    rubric: Rubric[T]
    tools: ClassVar[Mapping[str, Tool]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for base in getattr(cls, "__orig_bases__", ()):
            if isinstance(get_origin(base), type) and issubclass(get_origin(base), ToolEnv):
                for argument in get_args(base):
                    if isinstance(argument, type) and issubclass(argument, Task):
                        cls.Task = argument
                    elif isinstance(argument, type) and issubclass(argument, EnvConfig):
                        cls.Config = argument
        cls.tools = tools_of(cls)
        for name in cls.tools:
            if hasattr(ToolEnv, name):
                raise TypeError(f"tool {cls.__name__}.{name}: ToolEnv needs that name for itself; choose another")

    def __init__(self, *, sandbox: Mapping[str, Any] | None = None, **config: Any) -> None:
        self.config: C = self.Config(**config)
        self.sandbox_options: Mapping[str, Any] = dict(sandbox or {})
        self.action_space = ActionSpace()
        self.observation_space = ObservationSpace()
        self.messages: list[Message] = []
        self._task: T | None = None
        self._turns = 0
        self._open = False
        self._finished = False
        self._pool: Sequence[T] | None = None

    # What an author writes

    @classmethod
    def tasks(cls, config: C, split: Split) -> Sequence[T]:
        """Return the tasks of a split, the same for the same configuration; ids are unique."""
        raise NotImplementedError(f"{cls.__name__} must define the class method tasks(cls, config, split)")

    def reference(self, task: T) -> Iterator[Message]:
        """Yield the assistant messages of a scripted solution: proves the task solvable, feeds the warm start."""
        raise NotImplementedError(f"{type(self).__name__} has no scripted reference")

    def begin(self) -> None:
        """Open what the episode of `self.task` owns. `release` follows in any case."""

    def establish(self) -> Mapping[str, Any]:
        """Return facts for the rubric, plain data, after the last action: here hidden tests run."""
        return {}

    def release(self) -> None:
        """Close what `begin` opened. Called once for each `begin`, also when `begin` failed."""

    # What an author calls

    @property
    def task(self) -> T:
        """The task of this episode.

        Raises:
            RuntimeError: there was no reset yet.
        """
        if self._task is None:
            raise RuntimeError("no episode yet: call reset first")
        return self._task

    def finish(self) -> None:
        """End the episode with this action; for a tool that ends it."""
        self._finished = True

    # Gymnasium

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode of `options["task"]` (a task or its JSON data), or of a random training task.

        Raises:
            ValueError: an unknown option.
        """
        super().reset(seed=seed)
        unknown = set(options or {}) - {"task"}
        if unknown:
            raise ValueError(f"reset options {sorted(unknown)}: the only option is 'task'")
        self._close_episode()
        given = (options or {}).get("task")
        self._task = self._any_task() if given is None else self.Task.model_validate(_data(given))
        self._turns, self._finished, self._open = 0, False, True
        system = [Message.system(self.system_prompt)] if self.system_prompt else []
        self.messages = [*system, Message.user(self.task.prompt)]
        try:
            self.begin()
        except BaseException:
            self._close_episode()
            raise
        return tuple(self.messages), {}

    def step(self, action: Message) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Carry out one assistant message.

        Returns the new messages, the reward (0.0 until the end), whether the task ended, whether `max_turns` ended it,
        and info: `tool_calls` (number), `tool_errors` (their kinds), and at the end `scores`, `success`, `facts`.

        Raises:
            RuntimeError: there is no episode, or it is over.
            RubricError: the rubric failed.
        """
        if not self._open:
            raise RuntimeError("step without an episode: the last one is over; call reset first")
        if not (isinstance(action, Message) and action.role == "assistant"):
            raise TypeError(f"an action is an assistant message, not {action!r:.80}")
        self.messages.append(action)
        self._turns += 1
        errors: list[ToolErrorKind] = []
        observation = self._answer_calls(action.tool_calls, errors)
        self.messages.extend(observation)
        terminated = self._finished or not action.tool_calls
        truncated = not terminated and self._turns >= self.config.max_turns
        info: dict[str, Any] = {"tool_calls": len(action.tool_calls), "tool_errors": errors}
        if not (terminated or truncated):
            return observation, 0.0, False, False, info
        reward, verdict = self._score(truncated)
        return observation, reward, terminated, truncated, info | verdict

    def truncate(self) -> tuple[float, dict[str, Any]]:
        """End the episode by a limit from outside and score what there is; returns reward and info as `step` does.

        Raises:
            RuntimeError: there is no episode, or it is over.
        """
        if not self._open:
            raise RuntimeError("truncate without an episode: the last one is over")
        return self._score(truncated=True)

    def close(self) -> None:
        """Give back what the episode owns."""
        self._close_episode()

    # Inside

    def _any_task(self) -> T:
        if self._pool is None:
            self._pool = self.tasks(self.config, "train")
        return self._pool[int(self.np_random.integers(len(self._pool)))]

    def _answer_calls(self, calls: Sequence[ToolCall], errors: list[ToolErrorKind]) -> Observation:
        answers: list[Message] = []
        for call in calls:
            try:
                text = self._call(call)
            except ToolError as error:
                errors.append(error.kind)
                text = f"Error: {error}"
            answers.append(Message.tool(_clip(text, self.config.max_result_bytes), call))
            if self._finished:
                break
        return tuple(answers)

    def _call(self, call: ToolCall) -> str:
        if call.error is not None:
            raise ToolError(call.error, "unreadable")
        if call.name not in self.tools:
            raise ToolError(f"no tool {call.name[:80]!r}; there are: {', '.join(self.tools)}", "unknown_tool")
        # Looked up on the class: an instance attribute of the same name ("messages", "config") does not hide a tool.
        result = getattr(type(self), call.name)(self, **self.tools[call.name].read(call.arguments))
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
        return result if isinstance(result, str) else to_json(result).decode()

    def _score(self, truncated: bool) -> tuple[float, dict[str, Any]]:
        try:
            facts = self.establish()
            verdict = self.rubric.verdict(Episode(self.task, tuple(self.messages), truncated, facts))
        finally:
            self._close_episode()
        return verdict.reward, {"scores": dict(verdict.scores), "success": verdict.success, "facts": dict(facts)}

    def _close_episode(self) -> None:
        if self._open:
            self._open = False
            self.release()


def _data(task: Any) -> Any:
    """Return plain data of a task, so that a task of another process or class version is validated anew."""
    return task.model_dump() if isinstance(task, BaseModel) else task


def _clip(text: str, max_bytes: int) -> str:
    data = text.encode("utf-8", "replace")
    if len(data) <= max_bytes:
        return data.decode()
    return f"{data[:max_bytes].decode('utf-8', 'ignore')}\n[cut: the first {max_bytes} of {len(data)} bytes]"
