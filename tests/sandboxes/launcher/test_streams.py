import os

import pytest

from sandboxes.launcher.streams import Input, Output


def test_an_output_keeps_its_first_bytes_and_counts_all():
    reader, writer = os.pipe()
    output = Output(reader, 5)
    os.write(writer, b"abc")
    assert output.take()
    assert not output.truncated
    os.write(writer, b"defgh")
    os.close(writer)
    output.end()
    assert (bytes(output.kept), output.total, output.truncated) == (b"abcde", 8, True)


def test_an_output_does_not_wait_for_a_writer_that_lives():
    reader, writer = os.pipe()
    os.write(writer, b"abc")
    output = Output(reader, 5)
    output.end()
    assert bytes(output.kept) == b"abc"
    os.close(writer)


def test_an_input_feeds_what_the_pipe_takes_and_stops_when_nobody_reads():
    reader, writer = os.pipe()
    data = bytes(range(256)) * 2000
    source = Input(writer, data)
    got = b""
    more = True
    while more:
        while more and len(got) % 7 != 3:
            more = source.feed()
            got += os.read(reader, 40_000)
        got += os.read(reader, 1) if more else b""
    os.close(writer)
    while chunk := os.read(reader, 65_536):
        got += chunk
    assert got == data
    os.close(reader)


@pytest.mark.parametrize("filled", [False, True])
def test_an_input_without_a_reader_has_no_more_and_a_full_pipe_has(filled):
    reader, writer = os.pipe()
    source = Input(writer, bytes(1 << 20))
    if filled:
        assert all(source.feed() for _ in range(4))
        os.close(reader)
    else:
        os.close(reader)
    assert not source.feed()
    os.close(writer)
