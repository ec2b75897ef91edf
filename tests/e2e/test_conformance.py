"""The OpenAI wire, check by check, on the embedded engine through the gateway, with the unmodified
clients for Python and Node; and several adapters beside their base in that one engine.

``SOVEREIGN_CONFORMANCE_URL`` (with ``…_MODEL`` and ``…_KEY``) points the suite at another server.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openai
import pytest
from adapters import random_adapter
from conformance import Check, checks
from running import Door, opened, sovereign

from sovereign.weights.passport import read, signing_key

if TYPE_CHECKING:
    from sovereign.weights.store import Store

pytestmark = pytest.mark.model

KEY_FILE = ".sovereign/passport.key"

HERE = Path(__file__).parent / "clients"
REPO = Path(__file__).resolve().parents[2]
CLIENTS = Path(os.environ.get("SOVEREIGN_CLIENTS", REPO / ".venv-clients")).resolve()
ELSEWHERE = os.environ.get("SOVEREIGN_CONFORMANCE_URL")
MODEL = os.environ.get("SOVEREIGN_CONFORMANCE_MODEL", "smol") if ELSEWHERE else "smol"
CHECKS = {check.name: check for check in checks(MODEL)}

CONFIG = """
[policy]
preset = "direct"
[gateway]
port = 0
[models.smol]
base = "smollm2-135m-instruct"
threads = 1
[models.smol.adapters]
fox = "fox"
owl = "owl"
[weights]
store = "{store}"
lock = "{lock}"
"""


@pytest.fixture(scope="module")
def door(model_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A gateway before one engine with a base and two adapters."""
    folder = tmp_path_factory.mktemp("conformance")
    base = "smollm2-135m-instruct"
    key = signing_key(folder / KEY_FILE)
    for seed, name in enumerate(("fox", "owl")):
        random_adapter(
            model_store.get(base), model_store.entry(base).digest, folder / name, key, seed=seed
        )
    sovereign(folder, "init")
    text = CONFIG.format(store=model_store.root, lock=model_store.lock)
    (folder / "sovereign.toml").write_text(text)
    with opened(folder) as running:
        yield running


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Where the suite goes, and with what key."""
    if ELSEWHERE:
        return ELSEWHERE, os.environ.get("SOVEREIGN_CONFORMANCE_KEY", "none")
    door = request.getfixturevalue("door")
    return f"{door.url}/v1", door.key


def _see(client: openai.OpenAI, check: Check) -> dict[str, Any]:
    calls: dict[str, Any] = {
        "chat": client.chat.completions.create,
        "completions": client.completions.create,
        "embeddings": client.embeddings.create,
        "models": client.models.list,
        "model": client.models.retrieve,
    }
    try:
        answer = calls[check.call](**check.body)
        if check.body.get("stream"):
            return {"chunks": [chunk.to_dict() for chunk in answer]}
        return {"body": answer.to_dict()}
    except openai.APIStatusError as e:
        told = {"class": type(e).__name__, "status": e.status_code}
        return {"error": {**told, "code": e.code, "param": e.param}}


@pytest.fixture(scope="module")
def python_saw(server: tuple[str, str]) -> dict[str, Any]:
    """All answers, eight at a time, as a crowd asks."""
    client = openai.OpenAI(base_url=server[0], api_key=server[1], max_retries=0, timeout=120)
    with ThreadPoolExecutor(8) as pool:
        seen = pool.map(lambda check: _see(client, check), CHECKS.values())
        return dict(zip(CHECKS, seen, strict=True))


@pytest.fixture(scope="module")
def node_saw(server: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same by openai for Node."""
    home = CLIENTS / "node"
    if shutil.which("node") is None or not (home / "node_modules").is_dir():
        pytest.skip("no node, or no npm when scripts/clients ran")
    file = tmp_path_factory.mktemp("node") / "checks.json"
    asked = [{"name": c.name, "call": c.call, "body": c.body} for c in CHECKS.values()]
    file.write_text(json.dumps(asked))
    command = ["node", str(HERE / "conformance.mjs"), *server, str(file), str(home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_the_suite_is_as_large_as_it_says() -> None:
    """A check that vanished would pass."""
    assert len(CHECKS) >= 130


@pytest.mark.parametrize("name", CHECKS)
def test_python_finds_the_wire_as_documented(python_saw: dict[str, Any], name: str) -> None:
    """By the openai package."""
    CHECKS[name].holds(python_saw[name])


@pytest.mark.parametrize("name", CHECKS)
def test_node_finds_the_wire_as_documented(node_saw: dict[str, Any], name: str) -> None:
    """By the openai package for Node: another parser, and other ideas of what a stream is."""
    CHECKS[name].holds(node_saw[name])


# ---- several adapters beside their base ---------------------------------------------------------


def _mind(door: Door, model: str) -> dict[str, float]:
    """The likeliest first tokens of an answer, and how likely they are."""
    body: Any = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "max_tokens": 1}
    told: Any = {"logprobs": True, "top_logprobs": 20}
    answer = door.openai().chat.completions.create(model=model, **body, **told)
    scored = answer.choices[0].logprobs
    assert scored is not None
    assert scored.content
    return {t.token: t.logprob for t in scored.content[0].top_logprobs}


def _far(one: dict[str, float], other: dict[str, float]) -> float:
    """How far apart, in nats: what only one of them lists counts as at the end of its list."""
    floors = {id(m): min(m.values()) for m in (one, other)}
    tokens = one.keys() | other.keys()
    return sum(
        abs(one.get(t, floors[id(one)]) - other.get(t, floors[id(other)])) for t in tokens
    ) / len(tokens)


def test_base_and_two_adapters_answer_at_once_from_one_process(door: Door) -> None:
    """Each request with its own: what a model thinks in a crowd is what it thinks alone, within the
    rounding of bfloat16, and far from what the others think."""
    names = ["smol", "smol:fox", "smol:owl"]
    alone = {name: _mind(door, name) for name in names}
    apart = min(_far(alone[a], alone[b]) for a in names for b in names if a != b)
    with ThreadPoolExecutor(9) as pool:
        crowd = list(pool.map(lambda name: (name, _mind(door, name)), names * 3))
    assert max(_far(alone[name], mind) for name, mind in crowd) < apart / 3
    programs = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in door.engines()]
    assert sum(b"sovereign.serve.engines" in program for program in programs) == 1


def test_the_log_names_the_adapter_that_answered(door: Door) -> None:
    """By the digest that its passport has."""
    shown = sovereign(door.folder, "audit", "show", "--json", "--type", "model.serve")
    records = [json.loads(line)["record"] for line in shown.splitlines()]
    served = {r["model"]: r.get("adapter_digest") for r in records}
    assert served.keys() == {"smol", "smol:fox", "smol:owl"}
    for name in ("fox", "owl"):
        key = signing_key(door.folder / KEY_FILE).public_key()
        assert served[f"smol:{name}"] == read(door.folder / name, [key]).digest


def test_a_tampered_adapter_keeps_the_door_shut(
    door: Door, tmp_path: Path, model_store: Store
) -> None:
    """One bit of one of two adapters: nothing is served, and the file is named."""
    shutil.copytree(door.folder / "fox", tmp_path / "fox")
    shutil.copytree(door.folder / "owl", tmp_path / "owl")
    file = tmp_path / "owl" / "adapter_model.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    sovereign(tmp_path, "init")
    shutil.copy(door.folder / KEY_FILE, tmp_path / KEY_FILE)
    text = CONFIG.format(store=model_store.root, lock=model_store.lock)
    (tmp_path / "sovereign.toml").write_text(text)
    with pytest.raises(AssertionError, match=r"owl/adapter_model\.safetensors"), opened(tmp_path):
        pass
