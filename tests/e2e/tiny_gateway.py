"""A whole gateway process with a guard that knows five things: for tests that are not of detection.

``python tiny_gateway.py [--impatient] [--one-open] CONFIG READY_FILE``
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sovereign.config import Config, load_config
from sovereign.errors import SovereignError
from sovereign.gateway import asked, guardrail, listener
from sovereign.gateway.server import run
from sovereign.guard import Guard, Limits, inspect
from sovereign.guard.transform import Transformed, transform
from sovereign.policy import load_policy
from sovereign.types import JSON, Finding

PATTERNS = {
    "PERSON": r"\bMaria K[a-z]+\w*",
    "EMAIL_ADDRESS": r"[\w.]+@[\w.]+\.\w+",
    "CREDIT_CARD": r"\b(?:\d{4} ){3}\d{4}\b",
    "US_SSN": r"\b\d{3}-\d{2}-\d{4}\b",
    "CODEWORD": r"\bTOPSECRET\b",
    "DIAGNOSIS": r"\bKEEPINSIDE\b",
}


class Tiny:
    """Regular expressions, and words that make it fail, dawdle, or talk nonsense."""

    name = "tiny"
    build = "1"

    def recognize(self, text: str) -> Sequence[Finding]:
        if "EXPLODE" in text:
            raise RuntimeError(f"failed on {text}")
        if "DAWDLE" in text:
            time.sleep(0.5)
        if "OVERLONG" in text:
            time.sleep(5.2)
        if "NEVERENDING" in text:
            threading.Event().wait()
        if "OUTOFMEMORY" in text:
            raise MemoryError
        if "NONSENSE" in text:
            return [Finding((), 0, len(text) + 9, "PERSON", 0.9, self.name)]
        return [
            Finding((), m.start(), m.end(), entity, 0.9, self.name)
            for entity, pattern in PATTERNS.items()
            for m in re.finditer(pattern, text)
        ]


def forgetful(body: JSON, *rest: Any) -> Transformed:
    """A bug on demand: what LEAVEIT stands beside is taken out of nothing."""
    done = transform(body, *rest)
    return replace(done, body=body) if "LEAVEIT" in repr(body) else done


def make(config: Config) -> Guard:
    assert config.policy.file is not None
    return Guard(
        load_policy(file=config.resolve(config.policy.file)),
        [Tiny()],
        key=b"k" * 32,
        limits=Limits(max_body_bytes=config.guard.max_body_bytes, deadline_s=5.0),
    )


def main() -> None:
    inspect.transform = forgetful  # type: ignore[assignment]
    if "--impatient" in sys.argv:  # with callers that take their time
        sys.argv.remove("--impatient")
        asked.STALL_S = listener.HEAD_S = listener.LINGER_S = 1.5
    if "--one-open" in sys.argv:  # of the calls that LiteLLM's proxy may show a reply of
        sys.argv.remove("--one-open")
        guardrail.MOST_OPEN = 1
    config = load_config(sys.argv[1])
    try:
        run(config, make=make, port=0, ready_file=Path(sys.argv[2]), say=lambda _: None)
    except SovereignError as e:
        sys.exit(f"error: {e.message}\nhint: {e.hint}")


if __name__ == "__main__":
    main()
