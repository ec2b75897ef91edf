"""Pulling from a hub that may lie: a small one on loopback, and the real client in a process."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import COMMIT, REPO, Hub, git_blob, pointer, serving

from sovereign.cli import main
from sovereign.errors import NotAdmitted, WeightsError
from sovereign.weights import hub
from sovereign.weights.lock import load, save
from sovereign.weights.rules import Rules
from sovereign.weights.store import Store


@pytest.fixture
def local_hub(tiny: Path) -> Iterator[Hub]:
    files = {p.name: p.read_bytes() for p in sorted(tiny.iterdir()) if p.is_file()}
    files["pytorch_model.bin"] = b"pickle"
    files["original/consolidated.00.pth"] = b"pickle"
    with serving(Hub(files, lfs={"model.safetensors"})) as there:
        yield there


def words(tmp_path: Path, what: str, args: tuple[str, ...]) -> list[str]:
    store = [] if "--config" in args else ["--store", str(tmp_path / "store")]
    return ["weights", "pull", what, *args, *store]


@pytest.fixture
def apart(local_hub: Hub, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`sovereign weights pull` in a process of its own, as people run it."""

    def go(*args: str, what: str = f"{REPO}@{COMMIT}") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sovereign", *words(tmp_path, what, args)]
        env = os.environ | environment(local_hub, tmp_path) | {"HF_HUB_OFFLINE": "0"}
        return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    return go


def environment(local_hub: Hub, tmp_path: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": local_hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": ""}


@pytest.fixture
def pull(
    local_hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The same command and the real client here, which saves a second of imports each time."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("time.sleep", lambda _: None)
    for name, value in environment(local_hub, tmp_path).items():
        monkeypatch.setenv(name, value)

    def go(*args: str, what: str = f"{REPO}@{COMMIT}") -> subprocess.CompletedProcess[str]:
        argv, status = words(tmp_path, what, args), 0
        capsys.readouterr()
        try:
            main(argv)
        except SystemExit as e:
            status = int(e.code or 0)
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(argv, status, out, err)

    return go


def test_a_commit_is_pulled_hashed_and_locked_without_its_pickles(
    apart: Any, local_hub: Hub, tmp_path: Path
) -> None:
    """The lock holds commit, licence and blob ids; no pickle was even asked for, nobody was told
    who asked, and no cache lies beside the store."""
    done = apart()
    assert done.returncode == 0, done.stderr
    store = Store(tmp_path / "store", tmp_path / "store" / "sovereign.lock")
    entry = store.entry("tiny")
    assert (entry.kind, entry.source, entry.commit) == ("hub", REPO, COMMIT)
    assert entry.licence == "apache-2.0"
    folder = store.get("tiny")
    wanted = {n: d for n, d in local_hub.files.items() if n[0] != "." and not n.endswith("h")}
    wanted.pop("pytorch_model.bin")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == wanted
    for f in entry.files:
        data = wanted[f.path]
        assert f.blob == git_blob(pointer(data) if f.path in local_hub.lfs else data)
    assert not [p for p in local_hub.asked if p.endswith((".bin", ".pth", "harnesses"))]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_mirror_that_sends_other_bytes_of_the_same_length_is_caught(
    pull: Any, local_hub: Hub, tmp_path: Path, name: str
) -> None:
    """The client checks sizes only; we hold LFS files to their SHA-256 and others to git's id."""
    sent = bytearray(local_hub.files[name])
    sent[-2] ^= 1
    local_hub.sends[name] = bytes(sent)
    done = pull()
    assert done.returncode == 1
    assert f"{REPO}: {name}: has another" in done.stderr
    assert not (tmp_path / "store" / "tiny").exists()
    assert not (tmp_path / "store" / "sovereign.lock").exists()


def test_a_short_body_is_caught(pull: Any, local_hub: Hub, tmp_path: Path) -> None:
    """A truncated file never enters."""
    local_hub.sends["config.json"] = local_hub.files["config.json"][:-3]
    done = pull()
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert not (tmp_path / "store" / "tiny").exists()


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (401, "GatedRepo", "is gated"),
        (401, "", "401"),
        (403, "GatedRepo", "is gated"),
        (403, "", "403"),
        (404, "RepoNotFound", "does not exist"),
        (404, "RevisionNotFound", "has no revision"),
        (429, "", "429"),
        (500, "", "500"),
        (503, "", "503"),
    ],
)
def test_a_hub_that_says_no_is_one_line_and_a_hint(
    pull: Any, local_hub: Hub, status: int, code: str, says: str
) -> None:
    """And neither a trace nor a URL with a token in it."""
    local_hub.status, local_hub.error_code = status, code
    done = pull()
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()[-2:]
    assert error.startswith("error: ")
    assert says in error
    assert hint.startswith("hint: ")


def test_another_commit_than_the_one_asked_for_is_refused(pull: Any, local_hub: Hub) -> None:
    """A mirror may answer with what it has."""
    local_hub.sha = "d" * 40
    assert "another commit" in pull().stderr


def test_a_repository_of_pickles_alone_is_refused_by_name(pull: Any, local_hub: Hub) -> None:
    """Before a byte of weights is fetched."""
    del local_hub.files["model.safetensors"]
    assert "pytorch_model.bin" in pull().stderr
    assert not [p for p in local_hub.asked if "/resolve/" in p]


@pytest.mark.parametrize("revision", ["../x", "a..b", "-x", "a b", "", "x" * 200])
def test_what_is_no_revision_is_refused(revision: str) -> None:
    """It becomes part of a URL. Nothing is asked of the network."""
    with hub.connect(Rules()) as there, pytest.raises(WeightsError, match="is no revision"):
        there.plan(REPO, revision)


@pytest.mark.parametrize("repo", ["tiny", "../x/y", "a/b/c", "https://x/y", "a/ b"])
def test_what_is_no_repository_name_is_refused(repo: str) -> None:
    """It becomes part of a URL."""
    with hub.connect(Rules()) as there, pytest.raises(WeightsError, match="no Hub repository"):
        there.plan(repo, COMMIT)


def store_of(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", tmp_path / "store" / "sovereign.lock")


def test_a_branch_is_resolved_once_and_the_lock_holds_the_commit(
    pull: Any, local_hub: Hub, tmp_path: Path
) -> None:
    """Every file is asked for by commit, so the branch may move while it is pulled."""
    done = pull(what=REPO)
    assert done.returncode == 0, done.stderr
    assert COMMIT in done.stdout
    assert store_of(tmp_path).entry("tiny").commit == COMMIT
    assert [p for p in local_hub.asked if "main" in p] == [f"/api/models/{REPO}/revision/main"]


def test_what_is_there_already_is_verified_and_not_fetched(
    pull: Any, local_hub: Hub, tmp_path: Path
) -> None:
    """And what was damaged is fetched again."""
    assert pull().returncode == 0
    local_hub.sent.clear()
    assert pull().returncode == 0
    assert local_hub.sent == []
    folder = store_of(tmp_path).get("tiny")
    (folder / "config.json").chmod(0o644)
    (folder / "config.json").write_text("{}")
    assert pull().returncode == 0
    assert local_hub.sent != []
    store_of(tmp_path).verify("tiny")


def test_two_pulls_at_once_fetch_once(apart: Any, local_hub: Hub, tmp_path: Path) -> None:
    """The second waits for the first, and finds all there."""
    local_hub.pause = 0.2
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(apart())) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [r.returncode for r in results] == [0, 0], results
    assert len(local_hub.fetched()) == len(set(local_hub.fetched()))
    assert list((tmp_path / "store" / ".staging").iterdir()) == []


def test_a_gate_needs_a_name_and_the_lock_holds_it(
    pull: Any, local_hub: Hub, tmp_path: Path
) -> None:
    """Before any file is asked for. Pulled again, the acceptance stays what it was."""
    local_hub.gated = "manual"
    assert "--accepted-by" in pull().stderr
    assert local_hub.sent == []
    assert pull("--accepted-by", "A. Officer").returncode == 0
    gate = store_of(tmp_path).entry("tiny").gate
    assert gate is not None
    assert (gate.kind, gate.accepted_by) == ("manual", "A. Officer")


def configured(tmp_path: Path, weights: str) -> tuple[str, ...]:
    """``--config`` of a team with rules; its log is in the same folder."""
    command = [sys.executable, "-m", "sovereign", "init"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    file = tmp_path / "sovereign.toml"
    file.write_text(file.read_text().replace("[weights]", f"[weights]\n{weights}"))
    return ("--config", str(file))


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ('licences = ["MIT"]', "its licence is apache-2.0, which is not among"),
        ('repositories = ["bank/*"]', "is not among [weights] repositories"),
        (f'revoked = ["{COMMIT}"]', f"commit {COMMIT} was revoked"),
    ],
)
def test_what_the_team_s_rules_forbid_is_refused_before_a_file_is_asked_for(
    pull: Any, local_hub: Hub, tmp_path: Path, rule: str, says: str
) -> None:
    """And the refusal is in the audit log."""
    done = pull(*configured(tmp_path, rule))
    assert done.returncode == 1
    assert says in done.stderr
    assert local_hub.sent == []
    log = b"".join(
        p.read_bytes() for p in (tmp_path / ".sovereign/audit").rglob("*") if p.is_file()
    )
    assert b"weights.refuse" in log


def test_a_redirect_to_elsewhere_is_refused_unless_the_configuration_names_the_host(
    pull: Any, local_hub: Hub, tmp_path: Path
) -> None:
    """A mirror that sends its users to any host would see who asks for what, there too."""
    with serving(dataclasses.replace(local_hub)) as other:

        def away(handler: Any, data: bytes, first: int) -> bool:
            if f":{handler.server.server_address[1]}" not in local_hub.url:
                return False
            to = other.url.replace("127.0.0.1", "localhost") + handler.path
            handler.reply(302, b"", {"Location": to}, body=True)
            return True

        for there in (local_hub, other):
            there.faults = {"model.safetensors": away}
        done = pull()
        assert done.returncode == 1
        assert "localhost: the Hub redirects to it" in done.stderr
        assert [p for p in local_hub.fetched() if p == "model.safetensors"] == []
        done = pull(*configured(tmp_path, 'hosts = ["localhost"]'))
        assert done.returncode == 0, done.stderr


def test_a_licence_that_changed_is_refused_until_somebody_says_it(
    pull: Any, local_hub: Hub, tmp_path: Path
) -> None:
    """Its id on the card, or only its text: before a byte of weights."""
    assert pull().returncode == 0
    store = store_of(tmp_path)
    (entry,) = load(store.lock).values()
    save(store.lock, {"tiny": dataclasses.replace(entry, commit="d" * 40)})  # an earlier commit
    local_hub.sent.clear()
    local_hub.files["LICENSE"] = b"All rights reserved"
    done = pull("--replace")
    assert "LICENSE: the licence's text changed" in done.stderr
    local_hub.card = {"license": "other", "license_name": "research-only"}
    done = pull("--replace")
    assert "its licence changed from apache-2.0 to research-only" in done.stderr
    assert "model.safetensors" not in local_hub.fetched()
    assert pull("--replace", "--licence", "research-only").returncode == 0
    assert store.entry("tiny").licence == "research-only"


def test_a_commit_that_was_withdrawn_says_so(pull: Any, local_hub: Hub) -> None:
    """What one has of it may have been withdrawn for a reason."""
    local_hub.sha = None  # type: ignore[assignment]
    done = pull()
    assert "has no revision" in done.stderr
    assert "withdrawn" in done.stderr


def test_code_asked_for_by_the_configuration_is_refused_before_the_weights(
    pull: Any, local_hub: Hub
) -> None:
    """Papers are read first."""
    local_hub.files["config.json"] = json.dumps({"auto_map": {"AutoModel": "a/b--c.D"}}).encode()
    done = pull()
    assert "config.json: auto_map" in done.stderr
    assert "model.safetensors" not in local_hub.fetched()


def test_a_revoked_model_is_refused_at_its_next_use(store: Store, tiny: Path, sink: Any) -> None:
    """By commit or digest; the log knows."""
    entry = store.add_folder(tiny, name="tiny")
    store.rules = Rules(revoked=(entry.digest,))
    with pytest.raises(WeightsError, match="was revoked"):
        store.get("tiny")
    assert sink.records[-1]["type"] == "weights.refuse"


def test_a_licence_that_is_not_permitted_keeps_a_folder_out_too(store: Store, tiny: Path) -> None:
    """The rule is the store's, not the network's."""
    store.rules = Rules(licences=("Apache-2.0",))
    with pytest.raises(NotAdmitted, match="not among"):
        store.add_folder(tiny, name="tiny")
    store.add_folder(tiny, name="tiny", licence="apache-2.0")
