"""Publishing to a real S3 server: the same bytes, the same refusals, and no old over a new one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import logs
import obstore
import pytest
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

from sovereign.audit.publish import publish_chain
from sovereign.audit.published import check_chain
from sovereign.audit.s3 import Bucket, S3Shelf
from sovereign.audit.shelf import FolderShelf
from sovereign.errors import ConfigError, LogTampered, LogUnavailable

KEY = logs.verifier()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def shelf(endpoint: str, request: pytest.FixtureRequest) -> S3Shelf:
    """A bucket of the test's own."""
    import urllib.request

    name = f"b{abs(hash(request.node.name)):x}"
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/{name}", method="PUT")).close()
    return Bucket(f"s3://{name}/logs/a", endpoint, "key", "secret").open()


def objects(shelf: S3Shelf) -> dict[str, bytes]:
    store: S3Store = shelf._store
    listed = [one["path"] for page in obstore.list(store) for one in page]
    return {path: bytes(obstore.get(store, path).bytes()) for path in listed}


def test_a_bucket_gets_what_a_folder_gets(shelf: S3Shelf, tmp_path: Path) -> None:
    """Step by step; it verifies each time, and old partial tiles go."""
    log, out = tmp_path / "log", tmp_path / "out"
    for more in (1, 100, 300):
        logs.grow(log, more)
        publish_chain(log, KEY, shelf)
        publish_chain(log, KEY, FolderShelf(out))
        ((_, found),) = check_chain(shelf, KEY)
        assert found.ok, found.problems
    files = {f"logs/a/{f.relative_to(out)}": f.read_bytes() for f in out.rglob("*") if f.is_file()}
    assert objects(shelf) == files
    assert publish_chain(log, KEY, shelf).files == 0


def test_what_is_there_and_says_otherwise_is_not_overwritten(
    shelf: S3Shelf, tmp_path: Path
) -> None:
    """Tiles are immutable; one that differs is evidence."""
    logs.grow(tmp_path / "log", 300)
    obstore.put(shelf._store, "logs/a/tile/0/000", bytes(8192))
    with pytest.raises(LogTampered, match="says otherwise"):
        publish_chain(tmp_path / "log", KEY, shelf)
    assert shelf.get("checkpoint") is None


def test_two_publishers_cannot_put_an_old_checkpoint_over_a_new_one(shelf: S3Shelf) -> None:
    """The second one's condition fails, and it is told so."""
    shelf.put("checkpoint", b"1")
    slow, fast = shelf.under("x"), shelf.under("x")
    for one in (slow, fast):
        assert one.get("checkpoint") is None
    fast.put("checkpoint", b"new")
    with pytest.raises(LogUnavailable, match="somebody else"):
        slow.put("checkpoint", b"old")
    assert slow.get("checkpoint") == b"new"
    slow.put("checkpoint", b"newer")
    assert fast.get("checkpoint") == b"newer"


def test_a_store_that_is_not_there_is_an_error_that_shows_no_key() -> None:
    """Neither key nor what the store said is in it."""
    bucket = Bucket("s3://b/x", "http://127.0.0.1:9", "AKIAKEY", "hunter2")
    with pytest.raises(LogUnavailable) as caught:
        bucket.open().get("checkpoint")
    said = f"{caught.value} {caught.value.hint} {bucket!r}"
    assert "hunter2" not in said
    assert "AKIAKEY" not in said


@pytest.mark.parametrize(
    ("url", "endpoint"), [("s3://", "http://x"), ("http://b", "http://x"), ("s3://b", "ftp://x")]
)
def test_a_place_that_is_none_is_refused(url: str, endpoint: str) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError):
        Bucket(url, endpoint, "k", "s").open()
