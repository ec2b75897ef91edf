"""``sovereign serve`` as a person uses it: a port, a client, Ctrl-C."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import openai
import pytest

from sovereign.weights.store import Store

pytestmark = pytest.mark.model


def test_a_model_is_served_on_a_port_until_ctrl_c(model_store: Store, tmp_path: Path) -> None:
    """The line that it prints is enough to use it, and Ctrl-C leaves no process behind."""
    config = tmp_path / "sovereign.toml"
    config.write_text(
        '[policy]\npreset = "hipaa"\n'
        f'[weights]\nstore = "{model_store.root}"\nlock = "{model_store.root}/sovereign.lock"\n'
    )
    argv = [sys.executable, "-c", "from sovereign.cli import main; main()", "serve"]
    argv += ["smollm2-135m-instruct", "--config", str(config), "--port", "0", "--threads", "1"]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    with process.stderr as lines:
        said = ""
        while "try: curl" not in said:
            line = lines.readline()
            assert line, said
            said += line
        found = re.search(r"at (http://127\.0\.0\.1:\d+/v1) ", said)
        assert found, said
        client = openai.OpenAI(base_url=found[1], api_key="x", max_retries=0)
        answer = client.chat.completions.create(
            model="smollm2-135m-instruct",
            messages=[{"role": "user", "content": "What is the capital of France?"}],
            temperature=0,
            max_tokens=12,
            stream=True,
        )
        assert "Paris" in "".join(c.choices[0].delta.content or "" for c in answer)
        child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        children = [int(p) for p in child] or _children(process.pid)
        assert children
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        assert "Traceback" not in lines.read()
    assert not [p for p in children if Path(f"/proc/{p}").exists()]


def _children(pid: int) -> list[int]:
    """Of all its threads: a worker thread spawned the engine."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(p) for t in tasks for p in (t / "children").read_text().split()]
