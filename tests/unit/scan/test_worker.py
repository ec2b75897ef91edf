"""What one process of a scan tells of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from sovereign.config import GuardConfig
from sovereign.policy import load_policy
from sovereign.scan.state import Batch, Task
from sovereign.scan.worker import Plan, Worker

CALL = (
    '{"time": "2026-11-02T10:00:00Z", "url": "https://api.openai.com/v1/chat/completions",'
    ' "request": {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}}\n'
)


@pytest.mark.parametrize(
    ("name", "text", "records", "calls"),
    [
        ("a.log", "2026-11-02T10:00:00Z INFO started\n" * 4_000, 4_000, 0),
        ("b.log", "2026-11-02T10:00:00Z INFO started\n" * 3 + "the end", 4, 0),
        ("one-line.txt", "word " * 60_000, 1, 0),
        ("calls.jsonl", CALL * 3 + '{"note": "nothing"}\n', 4, 3),
        ("rows.csv", "id,note\n1,one\n2,two\n", 3, 0),  # the names of its columns are read, too
        ("empty.log", "", 0, 0),
    ],
)
def test_records_are_what_a_reader_of_the_file_would_count(
    tmp_path: Path, name: str, text: str, records: int, calls: int
) -> None:
    """Lines, not the blocks in which they are read; and which of them tell of a call."""
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_bytes(b"k" * 32)
    file = tmp_path / name
    file.write_text(text)
    worker = Worker(Plan(load_policy(preset="hipaa"), GuardConfig(ner="none"), tmp_path, key))
    batches = list(worker.scan(Task(1, str(file), 0, "", file.stat().st_size)))
    assert all(isinstance(one, Batch) for one in batches)
    assert sum(one.records for one in batches if isinstance(one, Batch)) == records
    assert sum(one.calls for one in batches if isinstance(one, Batch)) == calls
