"""`code_exec`: write a Python function from a sentence, try things with `run_python`, finish with `submit`.

Hidden tests decide after the last action, in a sandbox that no code of the policy ran in before. The policy is told
that its code was submitted and nothing else; the verdict holds counts. An answer without a submission scores 0.

Tasks derive from this package's source. Where a sandbox lets programs read our files (`sandboxes.describe` tells), a
hostile policy could look the families up there; the expected values it could only compute.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import blake2b
from typing import Any

from pydantic import Field

from envs.base import EnvConfig, Split, ToolEnv
from envs.code_exec.grading import Grade, grade
from envs.code_exec.tasks import CodeTask, code_tasks
from envs.messages import Message, ToolCall
from envs.rubric import Episode, Rubric
from envs.tools import ToolError, tool
from sandboxes import ExecResult, lease

MAX_CODE_CHARS = 20_000
"""Longest code taken: it travels as one argument of a process, of which Linux allows 128 KiB."""
_EXAMPLES = {"x": "5", "n": "2", "xs": "[1, 2, 3]", "s": "'abc'", "d": "{'cat': 2}"}
_TRY_SHARE = 4
"""The reference tries its solution before it submits on one task in this many."""


class CodeExecConfig(EnvConfig):
    """What a user of `code_exec` may choose."""

    max_turns: int = Field(4, ge=1)
    """Assistant messages an episode may have; without a submission by then it scores 0."""
    max_result_bytes: int = Field(1024, ge=256)
    """Bytes of one tool result that the policy is shown; the rest is cut, and the policy is told."""
    train_tasks: int = Field(4096, ge=1)
    """Training tasks, of the 19,107 there are."""
    test_tasks: int = Field(512, ge=1)
    """Held-out tasks, of the 2,547 there are: neither their wording nor their solution occurs in training."""
    hidden_tests: int = Field(8, ge=1, le=32)
    """Hidden tests of a task."""
    timeout_s: float = Field(2.0, gt=0, le=60)
    """Wall-clock seconds of one `run_python`, and of the grading of one submission (all its hidden tests)."""


def _fact(name: str) -> Any:
    return lambda episode: float(episode.facts[name])


def _share(episode: Episode[CodeTask]) -> float:
    return float(episode.facts["passed"]) / len(episode.task.tests)


class CodeExecEnv(ToolEnv[CodeTask, CodeExecConfig]):
    """Write a function from a sentence; the reward is partial credit for hidden tests, most of it for all of them."""

    system_prompt = "Write f in Python and submit it."
    rubric = Rubric[CodeTask](
        {
            "parses": (0.05, _fact("parses")),
            "runs": (0.05, _fact("runs")),
            "tests": (0.3, _share),
            "all_passed": (0.6, lambda episode: float(_share(episode) == 1.0)),
        }
    )

    @classmethod
    def tasks(cls, config: CodeExecConfig, split: Split) -> Sequence[CodeTask]:
        """Return the tasks of a split.

        Raises:
            UsageError: more were asked for than there are.
        """
        count = config.train_tasks if split == "train" else config.test_tasks
        return code_tasks(split, count, config.hidden_tests)

    def begin(self) -> None:
        """Forget the last submission."""
        self._submission: str | None = None

    @tool
    def run_python(self, code: str) -> str:
        """Run a Python program and return what it prints. Nothing is kept between runs."""
        _check(code)
        with lease(self.sandbox_options) as sandbox:
            result = sandbox.run(["python", "-c", code], timeout_s=self.config.timeout_s)
        return _in_words(result, self.config.timeout_s)

    @tool
    def submit(self, code: str) -> str:
        """Submit the program that defines the function f, and finish."""
        _check(code)
        self._submission = code
        self.finish()
        return "submitted"

    def establish(self) -> Mapping[str, Any]:
        """Run the hidden tests on the submission, if there is one."""
        if self._submission is None:
            return asdict(Grade())
        with lease(self.sandbox_options) as sandbox:
            return asdict(grade(sandbox, self._submission, self.task.tests, timeout_s=self.config.timeout_s))

    def reference(self, task: CodeTask) -> Iterator[Message]:
        """Yield the submission of the reference solution; on a quarter of the tasks it is tried first."""
        if blake2b(task.id.encode()).digest()[0] % _TRY_SHARE == 0:
            example = ", ".join(_EXAMPLES[name] for name in task.parameters.split(", "))
            yield _call("run_python", f"{task.solution}\nprint(f({example}))")
        yield _call("submit", task.solution)


def _call(name: str, code: str) -> Message:
    return Message.assistant("", ToolCall(name=name, arguments=json.dumps({"code": code}), id="call_0"))


def _check(code: str) -> None:
    if not code.strip():
        raise ToolError("code is empty")
    if len(code) > MAX_CODE_CHARS:
        raise ToolError(f"code has {len(code)} characters; at most {MAX_CODE_CHARS} are taken")
    if "\0" in code:
        raise ToolError("code holds a null character")


def _in_words(result: ExecResult, timeout_s: float) -> str:
    """Return the output, and the reason in one line if the program failed."""
    reason = [] if result.ok else [_failure(result, timeout_s)]
    return "\n".join(filter(None, [result.stdout.rstrip("\n"), *reason])) or "(no output)"


def _failure(result: ExecResult, timeout_s: float) -> str:
    if result.timed_out:
        return f"timed out after {timeout_s:g} s"
    if result.oom:
        return "out of memory"
    lines = result.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {result.exit_code}"
