"""The witness cosigns what grew, and nothing else: c2sp.org/tlog-witness#add-checkpoint."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import logs
import pytest

from sovereign.audit.ask import ask
from sovereign.audit.cosign import WitnessKey, cosignatures
from sovereign.audit.note import Checkpoint, Signer, open_checkpoint
from sovereign.audit.proof import Extension, Proof, prove, prove_extension
from sovereign.audit.publish import publish
from sovereign.audit.shelf import FolderShelf
from sovereign.audit.stored import open_stored
from sovereign.audit.tiles import Checked, check, folder
from sovereign.audit.witness import MAX_BODY, extension_from_tiles, open_witness, server
from sovereign.errors import AuditError, ConfigError, LogTampered, LogUnavailable

KEY = logs.verifier()
NAME = "witness.example/w1"


def request(log: Path, old: Checkpoint | None = None) -> bytes:
    with open_stored(log, KEY) as stored:
        if old is None:
            return str(Extension(0, (), stored.checkpoint()[0])).encode()
        return str(prove_extension(stored, old)).encode()


def signed(log: Path) -> Checkpoint:
    return open_checkpoint((log / "checkpoint").read_text(), KEY)


def test_a_log_that_grows_is_cosigned_each_time(tmp_path: Path) -> None:
    """From the first checkpoint on, each that follows the last."""
    witness, cosigner = open_witness(tmp_path / "w", name=NAME, logs=[KEY], clock=lambda: 99.5)
    log, old = tmp_path / "log", None
    for more in (3, 5, 9):
        logs.grow(log, more)
        answer = witness.add_checkpoint(request(log, old))
        assert answer.status == 200
        note = (log / "checkpoint").read_text() + answer.body
        assert [c.seconds for c in cosignatures(note, [cosigner.public])] == [99]
        old = signed(log)
    assert witness.add_checkpoint(request(log, old)).status == 200  # the same again


def test_a_roll_back_is_refused_and_the_size_is_said(tmp_path: Path) -> None:
    """An older copy of the log, correctly signed, gets 409 and what was cosigned."""
    witness, _ = open_witness(tmp_path / "w", name=NAME, logs=[KEY])
    log = tmp_path / "log"
    logs.grow(log, 3)
    shutil.copytree(log, tmp_path / "old")
    logs.grow(log, 3)
    assert witness.add_checkpoint(request(log)).status == 200
    answer = witness.add_checkpoint(request(tmp_path / "old"))
    assert (answer.status, answer.body, answer.kind) == (409, "10\n", "text/x.tlog.size")
    assert witness.latest(logs.ORIGIN).size == 10


def test_a_log_that_is_watched_itself_is_no_later_log_of_another(tmp_path: Path) -> None:
    """Its name may be another's with a number; only its own key signs it."""
    name = f"{logs.ORIGIN}/2"
    own, other = Signer.from_seed(name, bytes(32)), Signer.from_seed(name, logs.SEED)
    witness, _ = open_witness(tmp_path / "w", name=NAME, logs=[KEY, own.verifier])
    for signer, status in ((other, 403), (own, 200)):
        note = signer.sign(str(Checkpoint(name, 1, bytes(32))))
        assert witness.add_checkpoint(str(Extension(0, (), note)).encode()).status == status


def test_a_fork_is_refused(tmp_path: Path) -> None:
    """Another history of the log's own key is not cosigned, longer or of the same size."""
    witness, _ = open_witness(tmp_path / "w", name=NAME, logs=[KEY])
    logs.grow(tmp_path / "a", 3, clock=lambda: 1.0)
    logs.grow(tmp_path / "b", 3, clock=lambda: 2.0)
    logs.grow(tmp_path / "c", 9, clock=lambda: 3.0)
    assert witness.add_checkpoint(request(tmp_path / "a")).status == 200
    note = (tmp_path / "b" / "checkpoint").read_text()
    assert witness.add_checkpoint(str(Extension(5, (), note)).encode()).status == 409
    inside = signed(tmp_path / "c")
    with open_stored(tmp_path / "c", KEY) as stored:
        own = Checkpoint(logs.ORIGIN, 5, stored.root_of(0, 5))
    fork = request(tmp_path / "c", own)
    assert inside.size == 11
    assert witness.add_checkpoint(fork).status == 422
    assert witness.latest(logs.ORIGIN) == signed(tmp_path / "a")


def test_each_bad_request_has_the_specifications_status(tmp_path: Path) -> None:
    """Unknown log 404, unknown key 403, no request or an impossible one 400, a bad proof 422."""
    witness, _ = open_witness(tmp_path / "w", name=NAME, logs=[KEY])
    logs.grow(tmp_path / "log", 3)
    good = request(tmp_path / "log")
    text = str(Checkpoint("example.org/other", 3, bytes(32)))
    other = Signer.from_seed("example.org/other", logs.SEED).sign(text)
    assert witness.add_checkpoint(b"old 0\n\n" + other.encode()).status == 404
    mine = Signer.from_seed(logs.ORIGIN, bytes(32)).sign(str(Checkpoint(logs.ORIGIN, 3, bytes(32))))
    assert witness.add_checkpoint(b"old 0\n\n" + mine.encode()).status == 403
    assert witness.add_checkpoint(good.replace(b"old 0", b"old 9")).status == 400
    for bad in (b"", b"old 0\n", b"\xff", good.replace(b"old 0", b"old 00"), good[:-1]):
        assert witness.add_checkpoint(bad).status == 400
    one_hash = good.replace(b"old 0\n", b"old 0\n" + b"A" * 43 + b"=\n")
    assert witness.add_checkpoint(one_hash).status == 422
    assert witness.latest(logs.ORIGIN).size == 0


def test_a_witness_that_restarts_remembers(tmp_path: Path) -> None:
    """Key and last checkpoint are on disk before the answer; a key that others read is refused."""
    log, state = tmp_path / "log", tmp_path / "w"
    logs.grow(log, 3)
    witness, cosigner = open_witness(state, name=NAME, logs=[KEY])
    witness.add_checkpoint(request(log))
    again, same = open_witness(state, name=NAME, logs=[KEY])
    assert again.latest(logs.ORIGIN) == signed(log)
    assert same.public == cosigner.public
    (state / "witness.key").chmod(0o644)
    with pytest.raises(ConfigError):
        open_witness(state, name=NAME, logs=[KEY])


def test_a_witness_whose_memory_was_changed_cosigns_nothing(tmp_path: Path) -> None:
    """It fails closed: a broken memory is no empty memory."""
    log, state = tmp_path / "log", tmp_path / "w"
    logs.grow(log, 3)
    witness, _ = open_witness(state, name=NAME, logs=[KEY])
    witness.add_checkpoint(request(log))
    (memory,) = state.glob("*.checkpoint")
    memory.write_text("forget\n")
    with pytest.raises(LogTampered):
        witness.add_checkpoint(request(log))


def test_a_witness_reads_what_a_log_published(tmp_path: Path) -> None:
    """Without a network: the proof comes from the tiles, and a rolled back folder is refused."""
    log, out = tmp_path / "log", tmp_path / "out"
    witness, _ = open_witness(tmp_path / "w", name=NAME, logs=[KEY])
    for more in (3, 300):
        logs.grow(log, more)
        with open_stored(log, KEY) as stored:
            publish(stored, FolderShelf(out))
        if more == 3:
            shutil.copytree(out, tmp_path / "old")
        last = witness.latest(logs.ORIGIN)
        body = str(extension_from_tiles(FolderShelf(out), KEY, last)).encode()
        assert witness.add_checkpoint(body).status == 200
    with pytest.raises(LogTampered, match="rolled back"):
        extension_from_tiles(FolderShelf(tmp_path / "old"), KEY, witness.latest(logs.ORIGIN))


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[str, WitnessKey]]:
    """A witness that listens: its URL and key."""
    witness, cosigner = open_witness(tmp_path / "w", name=NAME, logs=[KEY])
    with server(witness, "127.0.0.1", 0) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}", cosigner.public
        made.shutdown()
        thread.join()


def _ask(log: Path, url: str, key: WitnessKey) -> int:
    with open_stored(log, KEY) as stored:
        return ask(stored, log, url, key)[0]


def test_cosignatures_over_http_travel_with_proofs_and_tiles(
    tmp_path: Path, serving: tuple[str, WitnessKey]
) -> None:
    """The log asks, keeps the line, and everything that it hands out from then on has it."""
    log, (url, key) = tmp_path / "log", serving
    for more in (3, 5):
        size = logs.grow(log, more)
        assert _ask(log, url, key) == (size if more == 3 else 12)
    (log / "cosigned").rename(tmp_path / "kept")
    assert _ask(log, url, key) == 12  # without its own copy it learns the size from the witness
    with open_stored(log, KEY) as stored:
        checked = Proof.parse(str(prove(stored, 2))).check(KEY, [key])
        publish(stored, FolderShelf(tmp_path / "out"))
    assert [c.witness for c in checked.cosigned] == [NAME]
    found: Checked = check(folder(tmp_path / "out"), KEY)
    assert [c.witness for c in cosignatures(found.note, [key])] == [NAME]


def test_a_log_that_was_rolled_back_learns_it_from_the_witness(
    tmp_path: Path, serving: tuple[str, WitnessKey]
) -> None:
    """The whole folder replaced by an older copy is invisible from inside; not from here."""
    log, (url, key) = tmp_path / "log", serving
    logs.grow(log, 3)
    shutil.copytree(log, tmp_path / "old")
    logs.grow(log, 5)
    _ask(log, url, key)
    with pytest.raises(LogTampered, match="has cosigned 12 records"):
        _ask(tmp_path / "old", url, key)


def test_a_forked_log_gets_no_cosignature(tmp_path: Path, serving: tuple[str, WitnessKey]) -> None:
    """Shorter, equal or longer: none of another history's checkpoints is cosigned."""
    url, key = serving
    logs.grow(tmp_path / "a", 3, clock=lambda: 1.0)
    _ask(tmp_path / "a", url, key)
    for records in (3, 9):
        fork = tmp_path / f"fork{records}"
        logs.grow(fork, records, clock=lambda: 2.0)
        with pytest.raises(LogTampered):
            _ask(fork, url, key)
        assert not (fork / "cosigned").exists()


def test_a_witness_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Nothing is kept, and the log itself is as it was."""
    log = tmp_path / "log"
    logs.grow(log, 3)
    _, cosigner = open_witness(tmp_path / "w", name=NAME, logs=[KEY])
    with pytest.raises(LogUnavailable):
        _ask(log, "http://127.0.0.1:1", cosigner.public)
    for url in ("ftp://x", "witness", "http://"):
        with pytest.raises(ConfigError):
            _ask(log, url, cosigner.public)
    assert not (log / "cosigned").exists()


def test_the_server_answers_nothing_else(tmp_path: Path, serving: tuple[str, WitnessKey]) -> None:
    """Other paths, other methods and bodies without bound are refused; no server name leaks."""
    import http.client

    port = int(serving[0].rsplit(":", 1)[1])
    for method, path, length, status in (
        ("POST", "/", "0", 404),
        ("GET", "/add-checkpoint", "0", 501),
        ("POST", "/add-checkpoint", str(MAX_BODY + 1), 413),
        ("POST", "/add-checkpoint", "-1", 413),
        ("POST", "/add-checkpoint", "0", 400),
    ):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.putrequest(method, path)
        connection.putheader("Content-Length", length)
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == status
        connection.close()


def test_another_witness_name_is_not_taken_for_the_answer(
    tmp_path: Path, serving: tuple[str, WitnessKey]
) -> None:
    """An answer without the cosignature that was asked for is refused."""
    log = tmp_path / "log"
    logs.grow(log, 3)
    _, stranger = open_witness(tmp_path / "other", name="other.example", logs=[KEY])
    with pytest.raises((LogTampered, AuditError), match=r"other\.example"):
        _ask(log, serving[0], stranger.public)
