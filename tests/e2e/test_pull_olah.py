"""A mirror that others wrote gives the same lock: olah, in front of the hub on loopback.

olah (MIT) is never in our environment: scripts/clients gives it one of its own.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from loopback_hub import REPO, Hub, serving

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(os.environ.get("SOVEREIGN_CLIENTS", ROOT / ".venv-clients")).resolve()
OLAH = CLIENTS / "clients-olah" / "bin" / "olah-cli"
BODY = bytes(range(256)) * 8000
HEADER = b'{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (len(BODY), len(BODY))
FILES = {
    "LICENSE": b"Apache",
    "chat_template.jinja": b"{{ messages }}",
    "config.json": b"{}",
    "model.safetensors": len(HEADER).to_bytes(8, "little") + HEADER + BODY,
    "tokenizer.json": b'{"version": "1.0"}',
}


def pull(endpoint: str, store: Path) -> bytes:
    env = os.environ | {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_TOKEN": ""}
    command = [sys.executable, "-m", "sovereign", "weights", "pull", f"{REPO}@main"]
    done = subprocess.run(
        [*command, "--store", store], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return (store / "sovereign.lock").read_bytes()


@pytest.mark.skipif(
    not OLAH.exists(),
    reason="not installed here: scripts/clients installs it, scripts/test runs it",
)
def test_a_pull_through_olah_gives_the_same_lock(tmp_path: Path) -> None:
    """Byte for byte: nothing of the lock depends on who served the files."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = f"127.0.0.1:{port}"
    with serving(Hub(FILES, lfs={"model.safetensors"})) as hub:
        home = hub.url.removeprefix("http://")
        command = [str(OLAH), "--host", "127.0.0.1", "--port", str(port)]
        command += ["--hf-scheme", "http", "--hf-netloc", home, "--hf-lfs-netloc", home]
        command += ["--mirror-scheme", "http", "--mirror-netloc", here]
        command += ["--mirror-lfs-netloc", here, "--repos-path", str(tmp_path / "repos")]
        command += ["--log-path", str(tmp_path / "logs")]
        olah = subprocess.Popen(command, cwd=tmp_path, stdout=-3, stderr=-3)
        try:
            wait_for(f"http://{here}/")
            mirrored = pull(f"http://{here}", tmp_path / "mirrored")
        finally:
            olah.terminate()
            olah.wait(10)
        assert mirrored == pull(hub.url, tmp_path / "direct")


def wait_for(url: str) -> None:
    for _ in range(300):
        try:
            urlopen(url, timeout=2).close()
        except HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("olah did not start in half a minute")
