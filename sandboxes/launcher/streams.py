"""The launcher's ends of a program's standard streams."""

import os

_CHUNK = 65_536


class Output:
    """One of the program's outputs: the first `cap` bytes are kept, the rest is only counted."""

    def __init__(self, descriptor: int, cap: int) -> None:
        self.descriptor = descriptor
        self.total = 0
        self._cap = cap
        self._kept: list[bytes] = []

    def take(self) -> bool:
        """Read once, waiting if nothing is there; tell whether there may be more."""
        data = os.read(self.descriptor, _CHUNK)
        if self.total < self._cap:
            self._kept.append(data[: self._cap - self.total])
        self.total += len(data)
        return bool(data)

    @property
    def kept(self) -> bytes:
        """The bytes kept so far."""
        return b"".join(self._kept)

    @property
    def truncated(self) -> bool:
        """Whether bytes were dropped."""
        return self.total > self._cap


class Input:
    """The program's input, fed as fast as it reads; a program that does not read costs nothing."""

    def __init__(self, descriptor: int, data: bytes) -> None:
        self.descriptor = descriptor
        self._rest = memoryview(data)
        os.set_blocking(descriptor, False)

    def feed(self) -> bool:
        """Write what the pipe takes now; tell whether there is more."""
        try:
            self._rest = self._rest[os.write(self.descriptor, self._rest[:_CHUNK]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        return bool(self._rest)
