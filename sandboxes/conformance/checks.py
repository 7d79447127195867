"""What a conformance check is, and the few words checks are written in."""

from collections.abc import Callable
from typing import Any

from sandboxes.base import ExecResult, Sandbox

Check = Callable[[Sandbox], None]


def python(sandbox: Sandbox, code: str, *, stdin: str = "", timeout_s: float = 20.0) -> ExecResult:
    """Run Python source."""
    return sandbox.run(["python", "-c", code], stdin=stdin, timeout_s=timeout_s)


def expect(true: object, words: str, got: object = None) -> None:
    """Raise `AssertionError` with `words` and what was got instead, unless `true`."""
    if not true:
        raise AssertionError(f"{words}; got {got!r:.2000}")


def expect_output(result: ExecResult, stdout: str) -> None:
    """Expect a run that ended well with exactly this output."""
    expect(result.ok and result.stdout == stdout, f"expected exit code 0 and {stdout!r:.200}", result)


def expect_refusal(kind: type[Exception], call: Callable[..., object], *args: Any, **options: Any) -> None:
    """Expect that the call raises `kind`."""
    try:
        got = call(*args, **options)
    except kind:
        return
    raise AssertionError(f"{args!r:.200} {options!r:.200} should raise {kind.__name__}; got {got!r:.200}")
