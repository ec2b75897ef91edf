"""One engine process, with the real small model, for all wire tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import openai
import pytest
from serve_wire import CONTEXT, NAME

from sovereign.config import ModelConfig
from sovereign.serve.supervise import Supervisor
from sovereign.weights.store import Store


@pytest.fixture(scope="session")
def engine(model_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervisor]:
    base = "smollm2-135m-instruct"
    supervisor = Supervisor(
        NAME,
        ModelConfig(base=base, max_context=CONTEXT, threads=1),
        weights=model_store.get(base),
        run_dir=tmp_path_factory.mktemp("run"),
        base_digest=model_store.entry(base).digest,
    )
    with supervisor:
        supervisor.start()
        yield supervisor


@pytest.fixture(scope="session")
def http(engine: Supervisor) -> Iterator[httpx2.Client]:
    transport = httpx2.HTTPTransport(uds=str(engine.socket))
    with httpx2.Client(transport=transport, base_url="http://engine", timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def client(http: httpx2.Client) -> openai.OpenAI:
    return openai.OpenAI(
        base_url="http://engine/v1", api_key="unused", http_client=http, max_retries=0
    )
