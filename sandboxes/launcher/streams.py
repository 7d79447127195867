"""The launcher's ends of a program's standard streams."""

import os

_CHUNK = 65_536


class Output:
    """One of the program's outputs: the first `cap` bytes are kept, the rest is only counted."""

    __slots__ = ("_cap", "_ended", "descriptor", "kept", "total")

    def __init__(self, descriptor: int, cap: int) -> None:
        self.descriptor = descriptor
        self.total = 0
        self.kept = bytearray()
        self._cap = cap
        self._ended = False

    def take(self) -> bool:
        """Read once, waiting if nothing is there; tell whether there may be more."""
        data = os.read(self.descriptor, _CHUNK)
        room = self._cap - len(self.kept)
        if data and room > 0:
            self.kept += data[:room]
        self.total += len(data)
        self._ended = not data
        return not self._ended

    def end(self) -> None:
        """Take what is there and close. No writer should be left, but none that is may hold this up."""
        os.set_blocking(self.descriptor, False)
        try:
            while not self._ended:
                self.take()
        except BlockingIOError:
            pass
        os.close(self.descriptor)

    @property
    def truncated(self) -> bool:
        """Whether bytes were dropped."""
        return self.total > self._cap


class Input:
    """The program's input, fed as fast as it reads; a program that does not read costs nothing."""

    __slots__ = ("_rest", "descriptor")

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
