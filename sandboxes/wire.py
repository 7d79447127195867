"""Frames between a sandbox and its launcher: two lengths, a JSON header, raw bytes. Never pickle.

Standard library only: the launcher uses it too.
"""

import json
import socket
import struct
from typing import Any

_LENGTHS = struct.Struct(">II")  # bytes of the header, bytes of the body
MAX_FRAME = 1 << 30
"""Bytes of one frame; more can only be a fault or a forgery."""


def send(connection: socket.socket, header: dict[str, Any], body: bytes = b"") -> None:
    """Send one frame.

    Raises:
        OSError: the other side is gone, or the socket's timeout passed.
    """
    text = json.dumps(header).encode()
    connection.sendall(_LENGTHS.pack(len(text), len(body)) + text + body)


def receive(connection: socket.socket) -> tuple[dict[str, Any], bytes] | None:
    """Return the next frame's header and body, or None when the other side has ended.

    Raises:
        OSError: the connection broke, or the socket's timeout passed.
        ValueError: what came is no frame.
    """
    # One frame is under way at a time, so reading past its end is impossible and most frames take one call.
    data = connection.recv(65_536)
    while len(data) < _LENGTHS.size:
        if not (more := connection.recv(65_536)):
            return None
        data += more
    header_bytes, body_bytes = _LENGTHS.unpack_from(data)
    if header_bytes + body_bytes > MAX_FRAME:
        raise ValueError(f"a frame of {header_bytes + body_bytes} bytes")
    start, end = _LENGTHS.size + header_bytes, _LENGTHS.size + header_bytes + body_bytes
    if len(data) < end:
        data += _exactly(connection, end - len(data))
    header = json.loads(data[_LENGTHS.size : start])
    if not isinstance(header, dict):
        raise ValueError(f"a frame with the header {header!r:.80}")
    return header, data[start:end]


def _exactly(connection: socket.socket, count: int) -> bytes:
    chunks = []
    while count > 0:
        chunk = connection.recv(min(count, 1 << 20))
        if not chunk:
            raise ConnectionResetError("the connection ended inside a frame")
        chunks.append(chunk)
        count -= len(chunk)
    return b"".join(chunks)
