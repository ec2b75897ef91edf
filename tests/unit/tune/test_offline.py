"""During a run the network is closed, for every library."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request

import pytest

from sovereign.tune.offline import offline


def test_connections_and_lookups_are_refused_and_counted() -> None:
    """Whatever asks: a socket, urllib, asyncio; by name or by address, TCP or UDP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with offline() as refused:
            with socket.socket() as s, pytest.raises(ConnectionRefusedError):
                s.connect(("127.0.0.1", port))
            with (
                socket.socket(type=socket.SOCK_DGRAM) as s,
                pytest.raises(ConnectionRefusedError),
            ):
                s.sendto(b"x", ("127.0.0.1", port))
            with pytest.raises(urllib.error.URLError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/")
            with pytest.raises(ConnectionRefusedError):
                asyncio.run(asyncio.open_connection("localhost", port))
            assert refused.count == 4
        with socket.create_connection(("127.0.0.1", port)):
            pass  # open again afterwards


def test_unix_sockets_stay_open() -> None:
    """The audit log and the event loop may use them."""
    with offline() as refused:
        a, b = socket.socketpair()
        a.send(b"x")
        assert b.recv(1) == b"x"
        a.close()
        b.close()
        assert refused.count == 0


def test_a_run_inside_a_run_keeps_it_closed() -> None:
    """The inner end does not open the outer."""
    with offline():
        with offline():
            pass
        with socket.socket() as s, pytest.raises(ConnectionRefusedError):
            s.connect(("127.0.0.1", 9))


def test_a_probe_of_this_machine_is_no_connection_and_a_listener_for_others_is_refused() -> None:
    """urllib3 binds ::1 when it is imported; nothing leaves by that. Other addresses stay shut."""
    with offline() as refused:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
        assert refused.count == 0
        with socket.socket() as s, pytest.raises(ConnectionRefusedError):
            s.bind(("0.0.0.0", 0))
        assert refused.count == 1
