"""What every backend asks of its arguments, so that the same mistake gets the same words everywhere."""

import math
from collections.abc import Sequence


def check_run(argv: Sequence[str], stdin: str, timeout_s: float) -> None:
    """Refuse what no backend can run. What a *program* may get wrong (a NUL in its source) is not refused here.

    Raises:
        TypeError: `argv` is no sequence of text, or `stdin` is no text.
        ValueError: `argv` is empty, or `timeout_s` is not a finite number above 0.
    """
    if isinstance(argv, str | bytes) or not all(isinstance(word, str) for word in argv):
        raise TypeError(f"argv={argv!r:.80}: expected a sequence of str, such as ['python', '-c', code]")
    if not argv or not argv[0]:
        raise ValueError(f"argv={argv!r:.80}: expected a program's name first")
    if not isinstance(stdin, str):
        raise TypeError(f"stdin={stdin!r:.80}: expected str")
    if not (timeout_s > 0 and math.isfinite(timeout_s)):
        raise ValueError(f"timeout_s={timeout_s!r}: must be a finite number of seconds above 0")


def check_path(path: str) -> tuple[str, ...]:
    """Return the names along a path of the work space, the file's own last.

    Raises:
        TypeError: it is no text.
        ValueError: it is absolute, empty, contains `..` or NUL.
    """
    if not isinstance(path, str):
        raise TypeError(f"path={path!r:.80}: expected str")
    names = tuple(name for name in path.split("/") if name not in ("", "."))
    if path.startswith("/") or ".." in names or "\0" in path or not names:
        raise ValueError(f"path={path!r:.200}: expected a file's path relative to the work space, without '..' or NUL")
    return names


def check_data(data: bytes) -> None:
    """Refuse what is no bytes.

    Raises:
        TypeError: it is something else, text for instance.
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"data={data!r:.80}: expected bytes; encode text first")
