"""The words between sequencer and client: cut anywhere, and never more than was agreed."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sovereign.audit import wire
from sovereign.errors import ConfigError, LogTampered, LogUnavailable, RecordRejected


def test_frames_that_come_in_pieces_are_the_same_frames() -> None:
    """A stream has no borders: each cut gives the same."""
    sent = wire.frame(wire.RECORD, b"abc") + wire.pack_ack(7, 9, 2, 3) + wire.frame(wire.GOODBYE)
    for cut in range(len(sent) + 1):
        buffer, got = bytearray(), []
        for piece in (sent[:cut], sent[cut:]):
            buffer += piece
            got += wire.frames(buffer)
        assert [kind for kind, _ in got] == [wire.RECORD, wire.ACK, wire.GOODBYE]
        assert got[0][1] == b"abc"
        assert wire.unpack_ack(got[1][1]) == (7, 9, 2, 3)
        assert not buffer


def test_a_frame_that_is_too_long_is_refused_before_it_is_there() -> None:
    """Nobody makes the sequencer keep 4 GB for them."""
    with pytest.raises(ValueError, match="too long"):
        list(wire.frames(bytearray(b"\xff\xff\xff\xff" + wire.RECORD)))


def test_an_error_arrives_as_the_error_that_it_was() -> None:
    """A client raises what the sequencer found; of what it does not know, that it cannot log."""
    for error in (LogTampered("t", hint="h"), LogUnavailable("u"), RecordRejected("r")):
        back = wire.raised(wire.error_of(error))
        assert type(back) is type(error)
        assert (back.message, back.hint) == (error.message, error.hint)
    assert type(wire.raised({"code": ConfigError.code})) is LogUnavailable


def test_a_socket_in_a_deep_folder_can_be_reached(tmp_path: Path) -> None:
    """An address holds 107 bytes; folders do not keep to that."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as caller:
        with wire.address(deep) as name:
            listener.bind(name)
            listener.listen()
            caller.connect(name)
        assert (deep / wire.SOCKET).is_socket()
