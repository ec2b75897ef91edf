"""A server may lie, stall or die; what arrives is what was listed, or is refused by name."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from loopback_hub import COMMIT, PIECE, REPO, Hub, git_blob, pointer, serving

from sovereign.errors import NotVerified, SovereignError, WeightsError
from sovereign.weights import transfer
from sovereign.weights.transfer import Transfer, Wanted, retry_after

BIG = bytes(range(256)) * 2048  # half a megabyte: several pieces on the wire
NAME = "model.safetensors"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub({NAME: BIG, "config.json": b"{}", "empty.txt": b""}, lfs={NAME})) as there:
        yield there


def wanted(hub: Hub) -> list[Wanted]:
    rows = [row for row in hub.tree() if row["type"] == "file"]
    return [
        Wanted(r["path"], r["size"], r["oid"], r["lfs"]["oid"] if "lfs" in r else None)
        for r in rows
    ]


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def fetch(hub: Hub, tmp_path: Path, waits: list[float]) -> Iterator[Callable[..., Any]]:
    with httpx2.Client(follow_redirects=True, timeout=5) as client:

        def go(files: list[Wanted] | None = None, step: Any = lambda _: None) -> Any:
            def url_of(path: str) -> str:
                return f"{hub.url}/{REPO}/resolve/{COMMIT}/{path}"

            job = Transfer(client, tmp_path / "parts", url_of, step=step, sleep=waits.append)
            return job.fetch(files or wanted(hub), tmp_path / "files")

        yield go


def test_every_file_arrives_with_its_hashes(fetch: Any, hub: Hub, tmp_path: Path) -> None:
    """SHA-256 for all; git's id of the content, or of the pointer where the Hub keeps one. A file
    of no bytes is not asked for."""
    steps: list[int] = []
    found = fetch(step=steps.append)
    for path, data in hub.files.items():
        assert (tmp_path / "files" / path).read_bytes() == data
        blob = git_blob(pointer(data) if path in hub.lfs else data)
        assert found[path] == (hashlib.sha256(data).hexdigest(), blob)
    assert sum(steps) == len(BIG) + 2
    assert "empty.txt" not in hub.fetched()
    assert list((tmp_path / "parts").iterdir()) == []


# -- a server that lies -------------------------------------------------------------------------


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def says(**headers: str) -> Callable[[Any, bytes, int], bool]:
    """An answer whose head holds ``headers``, whatever its body is."""

    def fault(handler: Any, data: bytes, first: int) -> bool:
        status = int(headers.pop("status", "200"))
        handler.head(
            status, len(data) - first, {k.replace("_", "-"): v for k, v in headers.items()}
        )
        handler.body(NAME, data, first)
        return True

    return fault


def longer(handler: Any, data: bytes, first: int) -> bool:
    handler.head(200, None, {"Connection": "close"})
    handler.body(NAME, data + b"more", first)
    handler.close_connection = True
    return True


LIES: dict[str, tuple[str, Callable[[Hub], Any], str]] = {
    "one bit of the weights": (
        NAME,
        lambda h: h.sends.update({NAME: flipped(BIG)}),
        "has another SHA-256",
    ),
    "one bit of the configuration": (
        "config.json",
        lambda h: h.sends.update({"config.json": b"{]"}),
        "has another git blob id",
    ),
    "another file of the same length": (
        NAME,
        lambda h: h.sends.update({NAME: bytes(len(BIG))}),
        "has another SHA-256",
    ),
    "a shorter file, and says so": (
        NAME,
        lambda h: h.sends.update({NAME: BIG[:-1]}),
        "where 524288 are listed",
    ),
    "a longer file, and says so": (
        NAME,
        lambda h: h.sends.update({NAME: BIG + b"x"}),
        "where 524288 are listed",
    ),
    "a longer file, and says nothing": (
        NAME,
        lambda h: h.faults.update({NAME: longer}),
        "goes on after the 524288 bytes",
    ),
    "a compressed body": (
        NAME,
        lambda h: h.faults.update({NAME: says(Content_Encoding="gzip")}),
        "came compressed",
    ),
    "a range that nobody asked for": (
        NAME,
        lambda h: h.faults.update({NAME: says(status="206", Content_Range="bytes 5-6/9")}),
        "answered 206",
    ),
    "a file that is listed and not there": (
        "ghost.json",
        lambda h: None,
        "answered 404",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_with_the_file_and_leaves_nothing_to_resume(
    fetch: Any, hub: Hub, tmp_path: Path, lie: str
) -> None:
    """The message names the file; what was believed wrongly does not stay as a part."""
    name, tell, what = LIES[lie]
    files = wanted(hub)
    files.append(Wanted("ghost.json", 2, git_blob(b"{}"), None)) if name == "ghost.json" else None
    tell(hub)
    with pytest.raises(WeightsError) as caught:
        fetch(files)
    assert caught.value.message.startswith(f"{name}: ")
    assert what in caught.value.message
    assert not (tmp_path / "files" / name).exists()


@pytest.mark.parametrize("answered", ["bytes 0-524287/524288", "bytes 100-524287/524289", "", "x"])
def test_a_wrong_range_is_refused(fetch: Any, hub: Hub, tmp_path: Path, answered: str) -> None:
    """Else the second half would be put where the first one ended, and only the hash would tell."""
    part_with(tmp_path, hub, BIG[:100])
    hub.faults[NAME] = says(status="206", Content_Range=answered)
    with pytest.raises(NotVerified, match="another range"):
        fetch()


# -- a server that fails ------------------------------------------------------------------------


def part_with(tmp_path: Path, hub: Hub, data: bytes) -> Path:
    """A part of the weights as a killed process leaves it."""
    job = Transfer(None, tmp_path / "parts", str)
    (file,) = (f for f in wanted(hub) if f.path == NAME)
    part = job._part(file)
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(data)
    return part


def once(hub: Hub, fault: Callable[[Any, bytes, int], bool]) -> None:
    def only(handler: Any, data: bytes, first: int) -> bool:
        del hub.faults[NAME]
        return fault(handler, data, first)

    hub.faults[NAME] = only


def test_a_part_is_resumed_and_no_byte_is_asked_for_twice(
    fetch: Any, hub: Hub, tmp_path: Path
) -> None:
    """The bytes that are there are hashed from the disk."""
    part_with(tmp_path, hub, BIG[:70_000])
    fetch()
    assert [(f, n) for p, f, n in hub.sent if p == NAME] == [(70_000, len(BIG) - 70_000)]


def test_a_file_that_came_whole_is_not_asked_for_again(
    fetch: Any, hub: Hub, tmp_path: Path
) -> None:
    """Of many files most are there when a pull dies. What lies there is hashed again."""
    found = fetch()
    (tmp_path / "files" / NAME).chmod(0o444)
    sent, steps = len(hub.sent), []
    assert fetch(step=steps.append) == found
    assert len(hub.sent) == sent
    assert sum(steps) == len(BIG) + 2
    (tmp_path / "files" / NAME).write_bytes(flipped(BIG))
    with pytest.raises(NotVerified, match=NAME):
        fetch()
    assert not (tmp_path / "files" / NAME).exists()
    assert fetch() == found


def test_a_part_with_wrong_bytes_is_thrown_away_by_the_hash(
    fetch: Any, hub: Hub, tmp_path: Path
) -> None:
    """After a power failure the disk may hold what was never written. The next pull is clean."""
    part_with(tmp_path, hub, bytes(70_000))
    with pytest.raises(NotVerified, match="another SHA-256"):
        fetch()
    fetch()


def test_a_part_that_is_too_long_is_thrown_away(fetch: Any, hub: Hub, tmp_path: Path) -> None:
    """It is nobody's beginning."""
    part_with(tmp_path, hub, BIG + b"x")
    fetch()


def test_a_server_without_ranges_sends_the_whole_file_again(
    fetch: Any, hub: Hub, tmp_path: Path
) -> None:
    """It answers 200; the part is begun anew, and the progress goes back."""
    part_with(tmp_path, hub, BIG[:70_000])
    steps: list[int] = []

    def whole(handler: Any, data: bytes, first: int) -> bool:
        handler.head(200, len(data), {})
        handler.body(NAME, data, 0)
        return True

    hub.faults[NAME] = whole
    fetch(step=steps.append)
    assert sum(steps) == len(BIG) + 2


def test_a_connection_that_is_lost_is_resumed_where_it_ended(
    fetch: Any, hub: Hub, waits: list[float]
) -> None:
    """The server promises all and hangs up in the middle."""

    def half(handler: Any, data: bytes, first: int) -> bool:
        handler.head(200, len(data), {})
        handler.body(NAME, data, 0, 3 * PIECE)
        handler.close_connection = True
        return True

    once(hub, half)
    fetch()
    (_, first), (second, rest) = [(f, f + n) for p, f, n in hub.sent if p == NAME]
    assert 0 <= first - second <= transfer.BLOCK
    assert rest == len(BIG)
    assert len(waits) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_is_busy_is_asked_again_when_it_says(
    fetch: Any, hub: Hub, waits: list[float], status: int
) -> None:
    """Retry-After is kept to, to the second."""

    def busy(handler: Any, data: bytes, first: int) -> bool:
        handler.reply(status, b"later", {"Retry-After": "7"}, body=True)
        return True

    once(hub, busy)
    fetch()
    assert waits == [7.0]


def test_a_server_that_stays_busy_is_given_up_by_name(
    fetch: Any, hub: Hub, waits: list[float]
) -> None:
    """With longer and longer waits, and not for ever."""

    def busy(handler: Any, data: bytes, first: int) -> bool:
        handler.reply(503, b"", {}, body=True)
        return True

    hub.faults[NAME] = busy
    with pytest.raises(WeightsError, match=rf"{NAME}: the server answered 503"):
        fetch()
    assert waits == sorted(waits)
    assert len(waits) == transfer.TRIES - 1


def test_a_server_that_asks_for_an_hour_is_not_waited_for(fetch: Any, hub: Hub) -> None:
    """The person at the terminal decides."""

    def later(handler: Any, data: bytes, first: int) -> bool:
        handler.reply(429, b"", {"Retry-After": "3600"}, body=True)
        return True

    hub.faults[NAME] = later
    with pytest.raises(WeightsError, match="asked again in 3600 s"):
        fetch()


@pytest.mark.parametrize("status", [401, 403])
def test_a_gate_is_not_knocked_at_twice(
    fetch: Any, hub: Hub, waits: list[Any], status: int
) -> None:
    """What is forbidden now is forbidden in a second."""

    def gate(handler: Any, data: bytes, first: int) -> bool:
        handler.reply(status, b"", {}, body=True)
        return True

    hub.faults[NAME] = gate
    with pytest.raises(WeightsError) as caught:
        fetch()
    assert "HF_TOKEN" in str(caught.value.hint)
    assert waits == []


def test_the_first_failure_ends_the_others_and_is_the_one_that_is_told(
    fetch: Any, hub: Hub, tmp_path: Path
) -> None:
    """An hour of weights is not waited for when the configuration is wrong."""
    hub.sends["config.json"] = b"[]"
    hub.pause = 0.2
    with pytest.raises(SovereignError, match=r"config\.json"):
        fetch()
    assert not (tmp_path / "files" / NAME).exists()


def test_a_commit_s_part_is_not_another_s(hub: Hub, tmp_path: Path) -> None:
    """Files of one name differ between commits."""
    job = Transfer(None, tmp_path, str)
    (file,) = (f for f in wanted(hub) if f.path == NAME)
    assert job._part(file) != job._part(dataclasses.replace(file, sha256="0" * 64))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("-7", 0.0),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
    ],
)
def test_retry_after_is_read_as_the_standard_has_it(value: str | None, seconds: Any) -> None:
    """RFC 9110 section 10.2.3: seconds or a date."""
    assert retry_after(value, lambda: 60.0) == seconds


def test_a_full_disk_is_said_and_what_came_is_kept(tmp_path: Path) -> None:
    """A file system of half a megabyte in a namespace of the test's own; the part stays."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    script = f"""
        mount -t tmpfs -o size=300k none {tmp_path} || exit 77
        exec {sys.executable} - <<'END'
import errno, sys
sys.path[:0] = {sys.path!r}
from pathlib import Path
import httpx2
from loopback_hub import Hub, git_blob, serving
from sovereign.weights.transfer import Transfer, Wanted
data = bytes(500_000)
with serving(Hub({{"a.txt": data}})) as hub, httpx2.Client() as client:
    url = lambda path: f"{{hub.url}}/clinic/tiny/resolve/c0ffee{"0" * 34}/{{path}}"
    job = Transfer(client, Path({str(tmp_path)!r}) / "parts", url)
    wanted = [Wanted("a.txt", len(data), git_blob(data), None)]
    try:
        job.fetch(wanted, Path({str(tmp_path)!r}) / "files")
    except OSError as e:
        assert e.errno == errno.ENOSPC
        assert job.held(wanted, Path({str(tmp_path)!r}) / "files") > 100_000
        sys.exit(42)
END
    """
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode in (1, 77) and "Operation not permitted" in done.stderr:
        pytest.skip("no mount namespace here")
    assert done.returncode == 42, done.stderr
