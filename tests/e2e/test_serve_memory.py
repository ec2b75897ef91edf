"""The plan of the embedded engine against the memory of its process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from sovereign.config import ModelConfig
from sovereign.serve import hardware
from sovereign.serve.plan import Load, embedded
from sovereign.serve.supervise import Supervisor
from sovereign.weights.dims import model_card

if TYPE_CHECKING:
    from sovereign.weights.store import Store

pytestmark = pytest.mark.model

USERS, CONTEXT, TOKENS = 5, 640, 16  # none of those that the plan's constants were chosen on
ROUNDS = 3
"""What one pass leaves with the allocator depends on the moment; the highest of three hardly."""


NEVER_ENDING = {"0": -100, "2": -100}  # <|endoftext|> and <|im_end|>, both of which end an answer


def test_the_plan_is_within_a_tenth_of_what_the_engine_takes(
    model_store: Store, tmp_path: Path
) -> None:
    """Full contexts at once; the highest that the kernel saw of the process.

    One request brings all of them, so that no scheduler decides who meets whom: the engine takes
    them in together and reads them in the same groups, the last before the first answer has its
    sixteen tokens; none can end earlier.
    """
    base = "smollm2-135m-instruct"
    engine = Supervisor(
        "m",
        ModelConfig(base=base, max_context=CONTEXT, threads=1),
        weights=model_store.get(base),
        run_dir=tmp_path,
    )
    with engine:
        engine.start()
        transport = httpx2.HTTPTransport(uds=str(engine.socket))
        with httpx2.Client(transport=transport, base_url="http://e", timeout=300) as http:
            prompts = [" word" * (CONTEXT - TOKENS)] * USERS
            body = {"model": "m", "prompt": prompts, "max_tokens": TOKENS}
            for _ in range(ROUNDS):
                answer = http.post("/v1/completions", json={**body, "logit_bias": NEVER_ENDING})
                assert answer.status_code == 200
                assert answer.json()["usage"]["total_tokens"] == USERS * CONTEXT
        status = Path(f"/proc/{engine.pid}/status").read_text()
    peak = next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmHWM")) * 1024
    planned = embedded(model_card(base).dims, Load(USERS, CONTEXT), bf16=hardware.bfloat16()).total
    assert planned == pytest.approx(peak, rel=0.1)
