"""What the demonstration configures and sends. Every person and number in it is invented."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["CONFIG", "IDENTIFIERS", "POLICY", "PROMPTS", "TOOL_ARGUMENTS"]

CONFIG = """\
# Written by scripts/demo. `sovereign check --config {here}/sovereign.toml` explains it.
[policy]
file = "policy.toml"

[gateway]
port = 0
local_model = "clinic"

[upstream.hosted]
side = "hosted"
base_url = "{hosted_url}"
api_key_env = "{key_env}"
models = ["gpt-4o-mini"]
timeout_s = 60.0

[models.base]
base = "{base}"

[models.clinic]
base = "{base}"
adapter = "run/adapter"
"""

POLICY = """\
# HIPAA, and three rules of this hospital's own.
name = "demo-hospital"
extends = "hipaa"
summary = "HIPAA; whatever speaks of one patient's chart stays inside; secrets are refused."
[hosted]
MEDICAL_RECORD_NUMBER = "local"
SECRET = "block"
"""

# Every identifier that the prompts below hold. None is a real person's.
IDENTIFIERS = [
    "Maria Keller",
    "Keller",
    "maria.keller@northvale.example",
    "512-47-3391",
    "4539 1488 0343 6467",
    "00482913",
    "Tobias Lindqvist",
    "Lindqvist",
    "hunter2-Winter!",
]

TOOL_ARGUMENTS = json.dumps({"patient": "Tobias Lindqvist", "ssn": "512-47-3391"})
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

PROMPTS: list[tuple[str, dict[str, Any]]] = [
    (
        "nothing sensitive",
        {"messages": [{"role": "user", "content": "Say in one line why audits matter."}]},
    ),
    (
        "a name and an address",
        {
            "messages": [
                {
                    "role": "user",
                    "content": "Write to Maria Keller (maria.keller@northvale.example): "
                    "Ms Keller, your results are in.",
                }
            ]
        },
    ),
    (
        "the same, streamed; a card number",
        {
            "stream": True,
            "messages": [
                {
                    "role": "user",
                    "content": "Remind Maria Keller that card 4539 1488 0343 6467 was declined.",
                }
            ],
        },
    ),
    (
        "in a tool call's arguments",
        {
            "messages": [
                {"role": "user", "content": "Is the booking done?"},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "book", "arguments": TOOL_ARGUMENTS},
                        }
                    ],
                },
                {
                    "role": "tool",
                    "tool_call_id": "call_1",
                    "content": "booked for Tobias Lindqvist",
                },
            ]
        },
    ),
    (
        "a patient's chart",
        {
            "messages": [
                {
                    "role": "user",
                    "content": "Patient Tobias Lindqvist, MRN 00482913: which ward takes him?",
                }
            ]
        },
    ),
    (
        "a password",
        {"messages": [{"role": "user", "content": "Log in for me, password: hunter2-Winter!"}]},
    ),
    (
        "a picture that nobody can read",
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What does this scan show?"},
                        {"type": "image_url", "image_url": {"url": PIXEL}},
                    ],
                }
            ]
        },
    ),
]
