"""docs/air-gap.md as a new user follows it: its own lines, both sides, without a network."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from loopback_hub import REPO, Hub, serving

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(os.environ.get("SOVEREIGN_CLIENTS", ROOT / ".venv-clients")).resolve()
SIGNING = CLIENTS / "clients-weights" / "bin"
BIN = Path(sys.executable).parent
PAGE = (ROOT / "docs/air-gap.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
HEADER = b'{"a":{"dtype":"U8","shape":[256],"data_offsets":[0,256]}}'
FILES = {
    "LICENSE": b"Apache",
    "config.json": b"{}",
    "model.safetensors": len(HEADER).to_bytes(8, "little") + HEADER + bytes(range(256)),
    "tokenizer.json": b'{"version": "1.0"}',
}
# An interface of its own and nothing behind it; the children end with the shell that began them.
EMPTY = ("unshare", "-rn", "--pid", "--fork", "--kill-child", "sh", "-ec")
LOOPBACK = "ip link set lo up\ntest $(ip -o link | wc -l) = 1\n"
LISTENS = """
for _ in $(seq 300); do
    test -s ward-7.token && bash -c ': < /dev/tcp/localhost/8090' 2> /dev/null && break
    sleep 0.1
done
"""


def run(lines: str, here: Path, **env: str) -> str:
    """The lines of the page with the reader's own names in them, in a namespace of their own."""
    done = subprocess.run(
        [*EMPTY, LOOPBACK + filled(lines)],
        cwd=here,
        env=environment(here) | env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def filled(lines: str) -> str:
    return lines.replace("OWNER/MODEL", REPO).replace("mirror.example", "localhost")


def environment(here: Path) -> dict[str, str]:
    """A user's: nothing of this machine's tokens, caches or Python settings."""
    path = f"{BIN}:{SIGNING}:{os.environ['PATH']}"
    return {"PATH": path, "HOME": str(here), "HF_HUB_DISABLE_XET": "1", "LC_ALL": "C.UTF-8"}


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of each side after its lines ran; only ``carried`` and the key went across."""
    if shutil.which("unshare") is None or subprocess.run([*EMPTY, "true"], check=False).returncode:
        pytest.skip("no user namespaces here")
    outside, inside = (tmp_path_factory.mktemp(side) for side in ("outside", "inside"))
    with serving(Hub(FILES, lfs={"model.safetensors"})) as hub:
        # The Hub's stand-in listens on this process's loopback; scripts/test has emptied the rest.
        env = environment(outside) | {"HF_ENDPOINT": hub.url}
        lines = ["sh", "-ec", filled(BLOCKS[0])]
        done = subprocess.run(
            lines, cwd=outside, env=env, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("carried", "public.pem"):
        subprocess.run(["cp", "-r", outside / name, inside / name], check=True)
    said = run(BLOCKS[1], inside)
    assert said.endswith("  ok\n")
    return outside, inside


def test_the_page_has_the_lines_that_are_run_here() -> None:
    """Outside, inside, mirror, client, and verification by others; a sixth would go untried."""
    begun = [block.split("\n")[0].split()[0] for block in BLOCKS]
    assert begun == ["sovereign", "sovereign", "openssl", "export", "cp"]


def test_what_was_pulled_outside_is_in_the_store_inside(sides: tuple[Path, Path]) -> None:
    """Byte for byte, by the same lock."""
    outside, inside = sides
    assert (outside / "sovereign.lock").read_bytes() == (inside / "sovereign.lock").read_bytes()
    (store,) = (inside / ".sovereign/weights/model").iterdir()
    assert {p.name: p.read_bytes() for p in store.iterdir()} == FILES


def test_a_client_downloads_from_the_mirror_by_tls(sides: tuple[Path, Path]) -> None:
    """Mirror and client in one empty namespace; the client trusts this certificate alone, and
    without it there is no download."""
    _, inside = sides
    lines = f"({BLOCKS[2]}) 2> mirror.err &\n{LISTENS}"
    trusting = "export HF_HOME=one\n" + BLOCKS[3]
    untrusting = "\nexport HF_HOME=two HF_HUB_DOWNLOAD_TIMEOUT=2; unset SSL_CERT_FILE\n"
    untrusting += "! hf download OWNER/MODEL 2> refused\n"
    run(lines + trusting + untrusting, inside)
    (snapshot,) = (inside / "one/hub").glob("models--*/snapshots/*")
    assert {p.name: p.read_bytes() for p in snapshot.iterdir()} == FILES
    assert "CERTIFICATE_VERIFY_FAILED" in (inside / "refused").read_text()
    assert not list((inside / "two").rglob("model.safetensors"))


@pytest.mark.skipif(
    not SIGNING.exists(),
    reason="not installed here: scripts/clients installs it, scripts/test runs it",
)
def test_the_bundle_is_verified_without_us(sides: tuple[Path, Path]) -> None:
    """By OpenSSF's command line and tar."""
    assert "Verification succeeded" in run(BLOCKS[4], sides[1])
