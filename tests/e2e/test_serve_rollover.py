"""The real engine, exchanged for one with another adapter while callers ask it without a pause."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from adapters import random_adapter, stamp

from sovereign.config import ModelConfig
from sovereign.errors import EngineDown
from sovereign.serve.adapter import hexed
from sovereign.serve.supervise import Supervisor
from sovereign.weights.passport import read, signing_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from sovereign.weights.store import Store

pytestmark = pytest.mark.model

BASE = "smollm2-135m-instruct"
BODY = {"model": "m", "prompt": "Once upon a time", "stream": True, "temperature": 0}
LONG = {**BODY, "max_tokens": 150, "logit_bias": {"0": -100, "2": -100}}


def _streamed(http: httpx2.Client, body: dict[str, object]) -> str:
    """Which engine answered, once its answer is whole."""
    with http.stream("POST", "/v1/completions", json=body) as answer:
        assert answer.status_code == 200
        lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert not any('"error"' in line for line in lines)
    fingerprint: str = json.loads(lines[0].removeprefix("data: "))["system_fingerprint"]
    return fingerprint


def _engine(store: Store, adapter: Path, key: Ed25519PrivateKey, run_dir: Path) -> Supervisor:
    """The real model with one adapter, whose passport is signed by ``key``."""
    return Supervisor(
        "m",
        ModelConfig(base=BASE, threads=1),
        weights=store.get(BASE),
        adapters={"": adapter},
        run_dir=run_dir,
        base_digest=store.entry(BASE).digest,
        trust=hexed([key.public_key()]),
    )


def test_an_adapter_that_does_something_else_than_its_passport_says_is_not_served(
    model_store: Store, tmp_path: Path
) -> None:
    """Its files are what was signed, and so is its base: only what it does is another's."""
    key = signing_key(tmp_path / "passport.key")
    weights, digest = model_store.get(BASE), model_store.entry(BASE).digest
    adapter = random_adapter(weights, digest, tmp_path / "adapter", key, seed=1)
    other = random_adapter(weights, digest, tmp_path / "other", key, seed=2)
    effect = read(other, [key.public_key()]).predicate["effect"]
    stamp(adapter, digest, key, predicate={"effect": effect})
    engine = _engine(model_store, adapter, key, tmp_path / "run")
    with engine, pytest.raises(EngineDown, match="otherwise than its passport says"):
        engine.start()


def test_an_adapter_is_exchanged_under_load_without_dropping_a_request(
    model_store: Store, tmp_path: Path
) -> None:
    """Three callers on connections that they keep, a fourth who makes a new one each time, and one
    whose long stream began before: all are answered, at first by the old adapter, then by the new
    one, and the old process ends by itself."""
    key = signing_key(tmp_path / "passport.key")
    weights, digest = model_store.get(BASE), model_store.entry(BASE).digest
    served = random_adapter(weights, digest, tmp_path / "served", key, seed=1)
    fresh = random_adapter(weights, digest, tmp_path / "fresh", key, seed=2)
    engine = _engine(model_store, served, key, tmp_path / "run")
    with engine:
        engine.start()
        engine.watch()
        first = engine.pid
        over, heard, failed = threading.Event(), [[] for _ in range(4)], []  # type: ignore[var-annotated]

        def connected() -> httpx2.Client:
            transport = httpx2.HTTPTransport(uds=str(engine.socket))
            return httpx2.Client(transport=transport, base_url="http://e", timeout=120)

        def calls(into: list[str], *, anew: bool) -> None:
            http = connected()
            try:
                while not over.is_set():
                    into.append(_streamed(http, {**BODY, "max_tokens": 4}))
                    if anew:
                        http.close()
                        http = connected()
            except Exception as e:
                failed.append(e)
            finally:
                http.close()

        def tells() -> None:
            with connected() as http:
                long.append(_streamed(http, LONG))

        long: list[str] = []
        patient = threading.Thread(target=tells)
        crowd = [
            threading.Thread(target=calls, args=(into,), kwargs={"anew": i == 3})
            for i, into in enumerate(heard)
        ]
        for one in (patient, *crowd):
            one.start()
        end = time.monotonic() + 300
        while not all(heard) and not failed and time.monotonic() < end:
            time.sleep(0.05)
        old = heard[0][0]
        served.rename(tmp_path / "old")
        shutil.copytree(fresh, served)
        while not all(h and h[-1] != old for h in heard) and not failed and time.monotonic() < end:
            time.sleep(0.05)
        over.set()
        for one in (patient, *crowd):
            one.join()
        assert not failed
        assert engine.rollovers == 1
        assert long == [old]
        for each in heard:
            assert len(set(each)) == 2
            assert each == sorted(each, key=lambda said: said != old)
        while first is not None and Path(f"/proc/{first}").exists() and time.monotonic() < end:
            time.sleep(0.1)
        assert not Path(f"/proc/{first}").exists()
