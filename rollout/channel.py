"""Frames between a worker process and its parent: a length, then a pickle of plain data.

Pickle, because both ends are one program of one user, and a message takes 5 microseconds each way.
"""

import pickle
import struct
from collections.abc import Iterator
from typing import Any

_LENGTH = struct.Struct("<Q")


def frame(content: object) -> bytes:
    """Return the content as one frame. Raises whatever pickling it raises."""
    data = pickle.dumps(content, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


class Frames:
    """Puts received bytes together again."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """Add received bytes and yield the content of each frame that is complete now."""
        self._bytes += data
        while len(self._bytes) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._bytes)[0]
            if len(self._bytes) < end:
                return
            content = pickle.loads(bytes(self._bytes[_LENGTH.size : end]))
            del self._bytes[:end]
            yield content
