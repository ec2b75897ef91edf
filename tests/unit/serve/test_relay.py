"""The relay carries bytes both ways, and listens on loopback only."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sovereign.errors import ServeError
from sovereign.serve import cell
from sovereign.serve.relay import bind, relay


def test_only_loopback_is_listened_at() -> None:
    """There are no keys here."""
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(ServeError, match="loopback") as caught:
            bind(host, 0)
        assert "sovereign gateway" in caught.value.hint
    with pytest.raises(ServeError, match="not an IP"):
        bind("example.com", 0)


def test_a_port_in_use_is_one_line_and_a_hint() -> None:
    """The commonest failure of all servers."""
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ServeError, match=f"port {port} at 127.0.0.1 is in use") as caught:
            bind("127.0.0.1", port)
        assert "--port 0" in caught.value.hint


def test_bytes_go_both_ways_and_an_end_ends_both(tmp_path: Path) -> None:
    """A caller that leaves must be seen by the engine, which then stops generating."""
    tmp_path.chmod(0o700)

    async def scene() -> None:
        ended = asyncio.Event()

        async def engine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readexactly(100_000))[::-1])
            await reader.read()
            ended.set()
            writer.close()

        sock = cell.listen(tmp_path / "e.sock")
        upstream = await asyncio.start_unix_server(engine, sock=sock)
        listener = bind("127.0.0.1", 0)
        server = await relay(listener, tmp_path / "e.sock")
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        sent = bytes(range(250)) * 400
        writer.write(sent)
        assert await reader.readexactly(100_000) == sent[::-1]
        writer.close()
        await asyncio.wait_for(ended.wait(), 5)
        server.close()
        upstream.close()

    asyncio.run(scene())


def test_while_the_engine_is_down_callers_hear_so(tmp_path: Path) -> None:
    """An OpenAI-shaped 503, not a reset."""

    async def scene() -> bytes:
        listener = bind("127.0.0.1", 0)
        server = await relay(listener, tmp_path / "nobody.sock")
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2])
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        server.close()
        return answer

    answer = asyncio.run(scene())
    assert answer.startswith(b"HTTP/1.1 503")
    assert b'"code":"engine_down"' in answer
