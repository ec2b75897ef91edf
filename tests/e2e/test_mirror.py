"""The mirror by the clients that others wrote: huggingface_hub, its command line, transformers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from loopback_hub import COMMIT, REPO, Hub, serving

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Served:
    """A mirror that runs, its store, and the tokens of three teams."""

    url: str
    store: Path
    files: dict[str, bytes]
    tokens: dict[str, str]

    def run(
        self, *command: str | Path, token: str = "all", offline: bool = False, home: Path
    ) -> subprocess.CompletedProcess[str]:
        """A client's process, as its user would start it."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        env |= {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
        env["HF_HUB_OFFLINE"] = env["TRANSFORMERS_OFFLINE"] = "1" if offline else "0"
        if token:
            env["HF_TOKEN"] = self.tokens.get(token, token)
        return subprocess.run(
            command, env=env, capture_output=True, text=True, timeout=120, check=False
        )

    def python(self, code: str, **options: object) -> str:
        done = self.run(sys.executable, "-c", code, **options)  # type: ignore[arg-type]
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip()


def _model(folder: Path) -> dict[str, bytes]:
    """A real model of random weights, with a tokenizer of three words."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=16,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    words = Tokenizer(WordLevel({"<s>": 0, "</s>": 1, "a": 2}, unk_token="<s>"))
    PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    (folder / "LICENSE").write_text("Apache")
    return {f.name: f.read_bytes() for f in folder.iterdir()}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("mirror")
    (root / "model").mkdir()
    files = _model(root / "model")
    sovereign = [sys.executable, "-m", "sovereign", "weights"]
    with serving(Hub(files, lfs={"model.safetensors"})) as hub:
        env = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_TOKEN": ""}
        command = [*sovereign, "pull", f"{REPO}@main", "--store", str(root / "store")]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    tokens = {}
    for team, models in (("all", ()), ("other", ("--model", "clinic/else"))):
        command = [*sovereign, "mirror-token", team, *models, "--tokens", str(root / "tokens")]
        tokens[team] = subprocess.check_output(command, text=True).strip()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*sovereign, "mirror", "--port", str(port), "--tokens", str(root / "tokens")]
    with (root / "err").open("w") as err:
        process = subprocess.Popen([*command, "--store", str(root / "store")], stderr=err)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 30
        while True:
            try:
                httpx2.get(f"{url}/api/whoami-v2")
                break
            except httpx2.ConnectError:
                assert process.poll() is None, (root / "err").read_text()
                assert time.monotonic() < until
                time.sleep(0.1)
        yield Served(url, root / "store", files, tokens)
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_the_hubs_own_client_finds_and_downloads_everything(served: Served, tmp_path: Path) -> None:
    """Information, the list of files, one file, all files: unmodified, by HF_ENDPOINT alone."""
    code = f"""if 1:
        import json
        from pathlib import Path
        from huggingface_hub import HfApi, hf_hub_download, snapshot_download
        api = HfApi()
        told = api.model_info({REPO!r})
        folder = Path(snapshot_download({REPO!r}))
        print(json.dumps([
            api.whoami()["name"], told.sha, sorted(api.list_repo_files({REPO!r})),
            [f.path for f in api.get_paths_info({REPO!r}, ["config.json", "nothing"])],
            [r.target_commit for r in api.list_repo_refs({REPO!r}).branches],
            Path(hf_hub_download({REPO!r}, "config.json", revision={COMMIT!r})).read_text(),
            {{p.name: p.stat().st_size for p in folder.iterdir()}},
        ]))"""
    who, sha, listed, paths, refs, config, sizes = json.loads(served.python(code, home=tmp_path))
    assert (who, sha, refs) == ("all", COMMIT, [COMMIT])
    assert listed == sorted(served.files)
    assert paths == ["config.json"]
    assert config.encode() == served.files["config.json"]
    assert sizes == {name: len(data) for name, data in served.files.items()}


def test_transformers_loads_from_it_and_offline_afterwards(served: Served, tmp_path: Path) -> None:
    """The second time in an empty network namespace, where the mirror is not."""
    code = f"""if 1:
        from transformers import AutoModelForCausalLM, AutoTokenizer
        tokenizer = AutoTokenizer.from_pretrained({REPO!r})
        model = AutoModelForCausalLM.from_pretrained({REPO!r})
        print(sum(p.numel() for p in model.parameters()), len(tokenizer))"""
    said = served.python(code, home=tmp_path)
    assert said.split()[1] == "3"
    closed = ("unshare", "-rn", sys.executable, "-c", code)
    again = served.run(*closed, offline=True, token="", home=tmp_path)
    assert again.returncode == 0, again.stderr[-2000:]
    assert again.stdout.strip() == said


def test_the_hubs_command_line_downloads(served: Served, tmp_path: Path) -> None:
    """`hf download`, into a folder."""
    target = tmp_path / "here"
    done = served.run(BIN / "hf", "download", REPO, "--local-dir", target, home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    assert (target / "model.safetensors").read_bytes() == served.files["model.safetensors"]


def test_our_own_pull_gives_the_same_lock(served: Served, tmp_path: Path) -> None:
    """A mirror of a mirror is the same weights, whoever served them."""
    command = (sys.executable, "-m", "sovereign", "weights", "pull", f"{REPO}@{COMMIT}", "--store")
    done = served.run(*command, tmp_path / "store", home=tmp_path)
    assert done.returncode == 0, done.stderr
    locks = [(s / "sovereign.lock").read_bytes() for s in (served.store, tmp_path / "store")]
    assert locks[0] == locks[1]


@pytest.mark.parametrize(
    ("token", "repo", "file", "revision", "error"),
    [
        ("all", "clinic/none", "config.json", None, "RepositoryNotFoundError"),
        ("all", REPO, "none.json", None, "RemoteEntryNotFoundError"),
        ("all", REPO, "config.json", "f" * 40, "RevisionNotFoundError"),
        ("other", REPO, "config.json", None, "GatedRepoError"),
        ("", REPO, "config.json", None, "GatedRepoError"),
        ("svm_wrong", REPO, "config.json", None, "HfHubHTTPError"),
    ],
)
def test_each_refusal_is_the_error_that_the_client_knows(
    served: Served,
    tmp_path: Path,
    token: str,
    repo: str,
    file: str,
    revision: str | None,
    error: str,
) -> None:
    """So that a script that handles the Hub's errors handles the mirror's."""
    code = f"""if 1:
        from huggingface_hub import hf_hub_download
        try:
            hf_hub_download({repo!r}, {file!r}, revision={revision!r})
        except Exception as e:
            print(type(e).__name__, [k.__name__ for k in type(e).__mro__])"""
    assert error in served.python(code, token=token, home=tmp_path)


def _get(served: Served, path: str, method: str = "GET", **headers: str) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {served.tokens['all']}", **headers}
    return httpx2.request(method, served.url + path, headers=headers)


FILE = f"/{REPO}/resolve/{COMMIT}/model.safetensors"


def test_ranges_are_those_of_the_file(served: Served) -> None:
    """A download goes on where it stopped, from the same bytes or not at all."""
    whole = served.files["model.safetensors"]
    head = _get(served, FILE, "HEAD")
    etag = head.headers["etag"]
    assert int(head.headers["content-length"]) == len(whole)
    for asked, wanted in (
        ("bytes=0-9", whole[:10]),
        ("bytes=100-", whole[100:]),
        ("bytes=-7", whole[-7:]),
    ):
        part = _get(served, FILE, Range=asked, **{"If-Range": etag})
        assert (part.status_code, part.content) == (206, wanted)
    other = _get(served, FILE, Range="bytes=0-9", **{"If-Range": '"else"'})
    assert (other.status_code, other.content) == (200, whole)
    for asked in (f"bytes={len(whole)}-", "bytes=9-1", "lines=1-2", "bytes=x-y"):
        assert _get(served, FILE, Range=asked).status_code == 416


@pytest.mark.parametrize("limit", [1, 2, 5000])
def test_a_long_list_comes_in_pages_that_the_hubs_client_follows(
    served: Served, tmp_path: Path, limit: int
) -> None:
    """Each file once, in order, whatever the page's size."""
    code = f"""if 1:
        import json, os
        from huggingface_hub.utils import build_hf_headers, paginate
        url = os.environ["HF_ENDPOINT"] + "/api/models/{REPO}/tree/{COMMIT}"
        rows = paginate(url, params={{"limit": {limit}}}, headers=build_hf_headers())
        print(json.dumps([row["path"] for row in rows]))"""
    assert json.loads(served.python(code, home=tmp_path)) == sorted(served.files)


@pytest.mark.parametrize("limit", ["0", "-1", "x", "99999999"])
def test_a_page_of_no_size_does_not_go_on_for_ever(served: Served, limit: str) -> None:
    """A page holds one row at least, so each next page is further on."""
    tree = f"/api/models/{REPO}/tree/{COMMIT}?limit={limit}"
    seen = []
    while tree:
        answer = _get(served, tree)
        assert answer.status_code == 200
        seen += [row["path"] for row in answer.json()]
        assert len(seen) <= len(served.files)
        following = answer.links.get("next", {}).get("url", "")
        tree = following.removeprefix(served.url)
    assert seen == sorted(served.files)


@pytest.mark.parametrize(
    "path",
    [
        f"/{REPO}/resolve/{COMMIT}/../sovereign.lock",
        f"/{REPO}/resolve/{COMMIT}/%2e%2e/%2e%2e/sovereign.lock",
        f"/{REPO}/resolve/{COMMIT}/%2Fetc%2Fpasswd",
        "/sovereign.lock",
        "/api/datasets/clinic/tiny",
        f"/{REPO}/resolve/{COMMIT}/",
    ],
)
def test_nothing_but_the_locks_files_exists(served: Served, path: str) -> None:
    """Paths are names in the lock, never places on a disk."""
    assert _get(served, path).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_written(served: Served, method: str) -> None:
    """Read-only: there is no such method."""
    assert _get(served, FILE, method).status_code == 405
    assert _get(served, f"/api/models/{REPO}", method).status_code == 405


def test_a_file_that_was_changed_on_disk_is_not_served(served: Served, tmp_path: Path) -> None:
    """And is again once it is what it was; the others are, all the while."""
    (file,) = served.store.glob("**/config.json")
    was = file.read_bytes()
    mode = file.stat().st_mode
    file.chmod(0o600)
    path = f"/{REPO}/resolve/{COMMIT}/config.json"
    try:
        file.write_bytes(was.replace(b"16", b"17"))
        refused = _get(served, path)
        assert refused.status_code == 503
        assert "changed on the mirror" in refused.headers["x-error-message"]
        assert _get(served, FILE).status_code == 200
    finally:
        file.write_bytes(was)
        file.chmod(mode)
    assert _get(served, path).content == was
