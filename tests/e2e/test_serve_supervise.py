"""The real engine, killed while it answers: its callers hear so, and the next ones are answered."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from pathlib import Path

import httpx2
import openai
import pytest

from sovereign.config import ModelConfig, load_config
from sovereign.serve import Supervisor, engines_from_config
from sovereign.weights.store import Store

pytestmark = pytest.mark.model


def test_kill_9_in_mid_stream_is_an_error_to_the_caller_and_a_restart(
    model_store: Store, tmp_path: Path
) -> None:
    """The stream must not end as if the answer were complete; the next request to the same socket
    is answered, without anybody's help."""
    file = tmp_path / "sovereign.toml"
    file.write_text(
        '[policy]\npreset = "hipaa"\n'
        '[models.smol]\nbase = "smollm2-135m-instruct"\nthreads = 1\nmax_context = 1024\n'
    )
    engine = engines_from_config(load_config(file), model_store, None)["smol"]
    with engine:
        engine.start()
        engine.watch()
        transport = httpx2.HTTPTransport(uds=str(engine.socket))
        with httpx2.Client(transport=transport, timeout=60) as http:
            client = openai.OpenAI(
                base_url="http://engine/v1", api_key="x", http_client=http, max_retries=0
            )
            stream = client.chat.completions.create(
                model="smol",
                messages=[{"role": "user", "content": "Write a long story about the sea."}],
                stream=True,
            )
            got = []
            with pytest.raises((openai.APIError, httpx2.TransportError)):
                for chunk in stream:
                    got.append(chunk.choices[0].delta.content)
                    if len(got) == 4:
                        assert engine.pid
                        os.kill(engine.pid, signal.SIGKILL)
            assert len(got) >= 4

            deadline = time.monotonic() + 60
            while not (engine.restarts and engine.alive) and time.monotonic() < deadline:
                time.sleep(0.05)  # a broken stream is seen before the death of its process is
            assert engine.restarts == 1
            answer = client.chat.completions.create(
                model="smol",
                messages=[{"role": "user", "content": "What is the capital of France?"}],
                temperature=0,
                max_tokens=12,
            )
            assert "Paris" in (answer.choices[0].message.content or "")


def test_out_of_memory_while_it_runs_is_told_and_recovered_from(
    model_store: Store, tmp_path: Path
) -> None:
    """The system gives no more memory in the midst of a large request. Its caller hears an error
    that the SDK knows; the next are answered, by another process if that one is past use."""
    base = "smollm2-135m-instruct"
    engine = Supervisor(
        "m",
        ModelConfig(base=base, max_context=512, threads=1),
        weights=model_store.get(base),
        run_dir=tmp_path,
    )
    with engine:
        engine.start()
        engine.watch()
        first = engine.pid
        assert first
        status = Path(f"/proc/{first}/status").read_text().splitlines()
        now = 1024 * int(next(x for x in status if x.startswith("VmSize")).split()[1])
        before = resource.prlimit(first, resource.RLIMIT_AS)
        transport = httpx2.HTTPTransport(uds=str(engine.socket))
        with httpx2.Client(transport=transport, timeout=120) as http:
            client = openai.OpenAI(
                base_url="http://engine/v1", api_key="x", http_client=http, max_retries=0
            )
            resource.prlimit(first, resource.RLIMIT_AS, (now + 40_000_000, before[1]))
            with pytest.raises(openai.APIError) as told:
                client.completions.create(model="m", prompt=["word " * 480] * 8, max_tokens=16)
            if isinstance(told.value, openai.APIStatusError):
                assert told.value.code == "out_of_memory"
            if Path(f"/proc/{first}").exists():
                with contextlib.suppress(ProcessLookupError):
                    resource.prlimit(first, resource.RLIMIT_AS, before)
            deadline, answer = time.monotonic() + 120, ""
            while "Paris" not in answer and time.monotonic() < deadline:
                try:
                    made = client.chat.completions.create(
                        model="m",
                        messages=[{"role": "user", "content": "What is the capital of France?"}],
                        temperature=0,
                        max_tokens=12,
                    )
                    answer = made.choices[0].message.content or ""
                except openai.APIError:
                    time.sleep(0.2)  # between two processes
            assert "Paris" in answer
