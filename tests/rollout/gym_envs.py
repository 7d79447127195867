"""Small environments for the tests of the engine; worker processes import them as `tests.rollout.gym_envs:Id-v0`."""

import asyncio
import json
import os
import re
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from envs import EnvConfig, EnvSpec, Message, Rubric, Split, Task, ToolCall, ToolEnv, register, tool
from sandboxes import SandboxError


class Count(Task):
    """Say `goal` in the end."""

    goal: int = 3


class LabConfig(EnvConfig):
    marks: str = ""
    """A folder where tools leave files, so that a test sees what happened in a worker."""


class LabEnv(ToolEnv[Count, LabConfig]):
    """Tools that wait, spin, fail and die."""

    system_prompt = "You are in a lab."
    rubric = Rubric({"right": (1.0, lambda e: float(e.answer == str(e.task.goal)))})

    @classmethod
    def tasks(cls, config: LabConfig, split: Split) -> Sequence[Count]:
        return [Count(id=f"{split}-{k}", prompt=f"Say {k}.", goal=k) for k in range(64)]

    def reference(self, task: Count) -> Iterator[Message]:
        yield call("add", a=task.goal - 1, b=1)
        yield Message.assistant(str(task.goal))

    def begin(self) -> None:
        if "never begins" in self.task.prompt:
            time.sleep(30)
        if "no sandbox" in self.task.prompt:
            raise SandboxError("no machine left")

    def establish(self) -> Mapping[str, Any]:
        return {"pid": os.getpid(), "kind": ("a", "b")}

    def release(self) -> None:
        self._mark("released")

    @tool
    def add(self, a: int, b: int) -> str:
        """Return a + b."""
        return str(a + b)

    @tool
    def rest(self, seconds: float) -> str:
        """Wait in a system call."""
        time.sleep(seconds)
        return "rested"

    @tool
    async def rest_async(self, seconds: float) -> str:
        """Wait on an event loop."""
        await asyncio.sleep(seconds)
        return "rested"

    @tool
    def spin(self) -> str:
        """Compute for ever."""
        self._mark("spinning")
        while True:
            pass

    @tool
    def defy(self) -> str:
        """Compute for ever, whatever anyone says."""
        while True:
            try:
                while True:
                    pass
            except BaseException:
                self._mark("defied")

    @tool
    def hold(self) -> str:
        """Keep the interpreter inside a C function for ever."""
        self._mark("holding")
        re.match(r"(a+)+$", "a" * 64 + "b")
        return "never"

    @tool
    def fail(self, once: bool = False) -> str:
        """Fail with a sandbox error, always or the first time only."""
        if not once or self._mark("failed"):
            raise SandboxError("the machine is gone")
        return "recovered"

    @tool
    def die(self, once: bool = True) -> str:
        """Kill the process that hosts this, always or the first time only."""
        if not once or self._mark("died"):
            os.kill(os.getpid(), signal.SIGKILL)
        return "survived"

    @tool
    def shout(self) -> str:
        """Write wherever a tool can write."""
        print("noise on stdout")
        print("noise on stderr", file=sys.stderr)
        os.write(1, b"noise on 1\n")
        warnings.warn("a noisy warning", stacklevel=1)
        return "shouted"

    @tool
    def leave(self) -> str:
        """Try to end the process as a program would."""
        sys.exit(3)

    @tool
    def draw(self) -> str:
        """Return a random number of the episode."""
        return str(int(self.np_random.integers(1 << 30)))

    @tool
    def whoami(self) -> str:
        """Return the process, the thread, and whether torch is loaded."""
        return f"{os.getpid()} {threading.get_ident()} {'torch' in sys.modules}"

    @tool
    def stop(self) -> str:
        """End the episode."""
        self.finish()
        return "over"

    @tool
    def big(self, size: int) -> str:
        """Return a long text."""
        return "x" * size

    def _mark(self, name: str) -> bool:
        """Leave a file for the test; returns whether it is the first of its name for this task."""
        if not self.config.marks:
            return True
        path = Path(self.config.marks) / f"{name}-{self.task.id}"
        first = not path.exists()
        path.write_text(str(os.getpid()))
        return first


class BrokenRubricEnv(LabEnv):
    """Its only criterion raises."""

    rubric = Rubric({"broken": (1.0, lambda e: 1 / 0)})


class OddFactsEnv(LabEnv):
    """Its facts are nothing that can be recorded."""

    def establish(self) -> Mapping[str, Any]:
        return {"odd": object()}


class OddEnv(LabEnv):
    """What it says cannot leave its process."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        return (lambda: None,), {}


class UnsolvableEnv(LabEnv):
    """Its reference raises."""

    def reference(self, task: Count) -> Iterator[Message]:
        raise RuntimeError(f"no solution known for {task.id}")


def call(name: str, **arguments: Any) -> Message:
    """Return an assistant message that calls one tool."""

    return Message.assistant("", ToolCall(name=name, arguments=json.dumps(arguments), id="c0"))


def spec(name: str = "Lab", **config: Any) -> EnvSpec:
    """Return the spec of an environment of this module."""
    return EnvSpec(f"tests.rollout.gym_envs:{name}-v0", config)


register(id="Lab-v0", entry_point="tests.rollout.gym_envs:LabEnv")
register(id="BrokenRubric-v0", entry_point="tests.rollout.gym_envs:BrokenRubricEnv")
register(id="Unsolvable-v0", entry_point="tests.rollout.gym_envs:UnsolvableEnv")
register(id="Odd-v0", entry_point="tests.rollout.gym_envs:OddEnv")
register(id="OddFacts-v0", entry_point="tests.rollout.gym_envs:OddFactsEnv")
