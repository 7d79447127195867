"""Grading a submission: a sandbox runs it on the hidden inputs, and this side compares what came back.

The expected values never enter the sandbox, and only values count. So the submission can neither read the answers nor
pretend to a verdict: printing "PASSED", leaving early, patching `==` or `json`, and writing result lines of its own
earn what the values in those lines earn. Limits: all cases share one time limit, and those after a hang are failed.

Results compare as plain JSON types: True is not 1, 1.0 is not 1, a tuple is not a list, an instance of a subclass of
int is not an int, and the keys of a dict are strings, in any order.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from sandboxes import ExecResult, Sandbox, SandboxError

_DRIVER = """
import json, os, sys

def main():
    order = json.loads(sys.stdin.read())
    results = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    dumps, write, leave = json.dumps, os.write, os._exit

    def tell(line):
        data = (dumps(line) + "\\n").encode()
        while data:
            data = data[write(results, data):]

    def plain(value):
        kind = type(value)
        if kind is list:
            return [plain(item) for item in value]
        if kind is dict and all(type(key) is str for key in value):
            return {key: plain(item) for key, item in value.items()}
        if value is None or kind in (bool, int, float, str):
            return value
        raise TypeError(kind)

    def case(index, inputs):
        try:
            value = function(*inputs)
        except BaseException:
            return {"case": index, "returned": False}
        try:
            line = {"case": index, "returned": True, "value": plain(value)}
            dumps(line)
            return line
        except BaseException:
            return {"case": index, "returned": True}

    tell("started")
    try:
        code = compile(order["source"], "<submission>", "exec")
    except BaseException:
        leave(0)
    tell("parsed")
    scope = {"__name__": "submission"}
    try:
        exec(code, scope)
        function = scope[order["function"]]
    except BaseException:
        leave(0)
    for index, inputs in enumerate(order["inputs"]):
        tell(case(index, inputs))
    leave(0)

main()
"""


class Case(BaseModel):
    """One hidden test."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: list[JsonValue]
    """The arguments, in order."""
    expected: JsonValue
    """What the reference solution returns for them."""


@dataclass(frozen=True, slots=True)
class Grade:
    """What became of a submission. It tells how many hidden tests passed, and nothing of what is in them."""

    parses: bool = False
    """It is Python."""
    runs: bool = False
    """The function returned on every hidden input."""
    passed: int = 0
    """Hidden tests passed."""


def grade(
    sandbox: Sandbox, source: str, cases: Sequence[Case], *, function: str = "f", timeout_s: float = 2.0
) -> Grade:
    """Run `source` once, call `function` on the inputs of every case, and compare. `timeout_s` is for all of it.

    Raises:
        SandboxError: the sandbox failed, or did not get as far as reading the submission.
    """
    order = {"source": source, "function": function, "inputs": [list(case.inputs) for case in cases]}
    result = sandbox.run(["python", "-c", _DRIVER], stdin=json.dumps(order), timeout_s=timeout_s)
    lines = list(_lines(result))
    if lines[:1] != ["started"]:
        raise SandboxError(f"the grading program did not start: {_fault(result)}")
    answers = _answers(lines)
    return Grade(
        parses=lines[1:2] == ["parsed"],
        runs=all(answers.get(index, {}).get("returned") is True for index in range(len(cases))),
        passed=sum(_passes(answers.get(index, {}), case.expected) for index, case in enumerate(cases)),
    )


def _lines(result: ExecResult) -> Iterator[Any]:
    """Yield the values of the lines that are JSON: the first two are the driver's word, the rest the submission's."""
    for line in result.stdout.split("\n"):
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            continue


def _answers(lines: Sequence[Any]) -> dict[int, dict[str, Any]]:
    """Return the first answer to each case by its index."""
    answers: dict[int, dict[str, Any]] = {}
    for line in lines:
        if isinstance(line, dict) and type(line.get("case")) is int:
            answers.setdefault(line["case"], line)
    return answers


def _passes(answer: dict[str, Any], expected: JsonValue) -> bool:
    return "value" in answer and same(answer["value"], expected)


def same(value: Any, expected: Any) -> bool:
    """Whether two plain values are equal and of the same types throughout."""
    if type(value) is not type(expected):
        return False
    if isinstance(expected, list):
        return len(value) == len(expected) and all(map(same, value, expected))
    if isinstance(expected, dict):
        return value.keys() == expected.keys() and all(same(value[key], expected[key]) for key in expected)
    return bool(value == expected)


def _fault(result: ExecResult) -> str:
    end = "no time left" if result.timed_out else f"exit code {result.exit_code}"
    return f"{end} {result.stderr.strip()[-200:]}".strip()
