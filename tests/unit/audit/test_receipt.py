"""A receipt says what its record says, reads back as it was written, and nothing else reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sovereign.audit import record
from sovereign.audit.receipt import HEADER, RequestReceipt
from sovereign.audit.tree import leaf_hash
from sovereign.errors import AuditError, LogTampered

ORIGIN = "log.example/a"
FIELDS = {
    **{"team": "t", "key_id": "k", "endpoint": "e", "model": "m", "destination": "d"},
    **{"policy": "a" * 64, "guard_build": "b" * 64, "body_sha256": "c" * 64},
    **{"side": "hosted", "verdict": "mask", "request": "req_1", "entities": {}},
    **{"bytes_out": 1, "stream": False, "rerouted": False},
}
RECORD = record.encode(
    record.event("request.intent", **FIELDS), time=1_790_000_000.0, source="gateway-1", seq=0
)
WHOLE = RequestReceipt(
    origin=ORIGIN,
    index=7,
    leaf=leaf_hash(RECORD),
    request="req_1",
    verdict="mask",
    policy=bytes.fromhex("a" * 64),
    build=bytes.fromhex("b" * 64),
    body=bytes.fromhex("c" * 64),
)


def test_it_reads_back_and_fits_its_record() -> None:
    """With and without the header's name, and with the fields that a refusal lacks left out."""
    refusal = replace(WHOLE, verdict=None, policy=None, build=None, body=None)
    for receipt in (WHOLE, refusal):
        assert RequestReceipt.parse(str(receipt)) == receipt
        assert RequestReceipt.parse(f"{HEADER.title()}: {receipt}\n") == receipt
        receipt.check(RECORD, 7, ORIGIN)


@pytest.mark.parametrize(
    "changed",
    [
        replace(WHOLE, index=8),
        replace(WHOLE, origin="log.example/b"),
        replace(WHOLE, leaf=bytes(32)),
        replace(WHOLE, request="req_2"),
        replace(WHOLE, verdict="allow"),
        replace(WHOLE, policy=bytes(32)),
        replace(WHOLE, build=bytes(32)),
        replace(WHOLE, body=bytes(32)),
    ],
    ids=lambda r: next(n for n in r.__slots__ if getattr(r, n) != getattr(WHOLE, n)),
)
def test_each_changed_field_is_noticed(changed: RequestReceipt) -> None:
    """Whoever edits a receipt, or the log, is told which of the two does not fit."""
    with pytest.raises(LogTampered):
        changed.check(RECORD, 7, ORIGIN)


@pytest.mark.parametrize(
    "text",
    [
        *("", "v=1", "nonsense", str(WHOLE).replace("v=1", "v=2"), f"{WHOLE}, extra=1"),
        *(str(WHOLE).replace("index=7", "index=007"), str(WHOLE).replace(", ", ",")),
        *(str(WHOLE).replace('request="req_1"', "request=7"), "x" * 3000, f"{WHOLE}, v=1"),
        str(WHOLE).replace(":qqqq", ":q=qq"),
    ],
)
def test_nothing_else_is_a_receipt(text: str) -> None:
    """One spelling only: a receipt is compared as text by whoever keeps it."""
    with pytest.raises(AuditError):
        RequestReceipt.parse(text)
