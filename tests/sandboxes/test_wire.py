import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxes.wire import receive, send


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        theirs.settimeout(5)
        yield ours, theirs


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())), st.binary())
def test_what_is_sent_arrives(header, body):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, header, body)
        assert receive(theirs) == (header, body)


def test_a_frame_larger_than_a_pipe_arrives_whole(pair):
    body = bytes(range(256)) * 40_000
    thread = threading.Thread(target=send, args=(pair[0], {"a": "\ud800"}, body))
    thread.start()
    assert receive(pair[1]) == ({"a": "\ud800"}, body)
    thread.join()


def test_a_frame_in_pieces_arrives_whole(pair):
    frame = struct.pack(">II", 2, 3) + b"{}" + b"abc"
    thread = threading.Thread(target=lambda: [pair[0].sendall(frame[n : n + 1]) for n in range(len(frame))])
    thread.start()
    assert receive(pair[1]) == ({}, b"abc")
    thread.join()


def test_an_ended_connection_is_none_and_a_broken_frame_is_an_error(pair):
    pair[0].sendall(struct.pack(">II", 2, 3) + b"{}")
    pair[0].close()
    with pytest.raises(ConnectionResetError):
        receive(pair[1])
    assert receive(pair[1]) is None


@pytest.mark.parametrize("frame", [struct.pack(">II", 1 << 31, 0), struct.pack(">II", 2, 0) + b"[]"])
def test_what_is_no_frame_is_a_value_error(pair, frame):
    pair[0].sendall(frame)
    with pytest.raises(ValueError, match="a frame"):
        receive(pair[1])
