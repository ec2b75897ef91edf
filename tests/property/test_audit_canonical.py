"""The verifier's quick look at a record says what reading it and writing it again says."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sovereign.audit.verify import Canonical

WORDS = st.text(st.sampled_from('ab:,"\\{}[]0 ~é\x7f\n'), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from(["a", "seq", "source", "type", "zz", "a:0,b", "ü"])
RECORDS = st.builds(
    lambda more, source, seq, kind: {**more, "source": source, "seq": seq, "type": kind},
    st.dictionaries(NAMES, VALUES | st.fixed_dictionaries({"seq": VALUES}), max_size=4),
    st.sampled_from(["s-1", "s-2", "", "a\\b", 7]),
    st.sampled_from([0, 1, 12, -1, True, "5", 2**70]),
    st.sampled_from(["log.open", "x", None, "log.gap"]),
)


def judged(data: bytes) -> tuple[str, int, str] | None:
    try:
        record = json.loads(data)
        again = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        source, seq, kind = record["source"], record["seq"], record["type"]
    except (ValueError, TypeError, KeyError):
        return None
    if again.encode() != data or (type(source), type(seq), type(kind)) != (str, int, str):
        return None
    return source, seq, kind


def written(record: dict[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@settings(max_examples=150, deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=8), st.data())
def test_quick_and_thorough_agree_on_records_and_on_what_became_of_them(
    records: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Frames that were kept from earlier records never let one through that reading would not, and
    never change its source, number or type. Bytes are changed, cut, and put in at random."""
    canonical = Canonical()
    for record in records + records:
        raw = written(record)
        at = data.draw(st.integers(0, len(raw)))
        piece = data.draw(
            st.sampled_from([b"", b'"', b"0", b" ", b",", b":0", b'\\"', b"{}", b"-"])
        )
        for tried in (raw, raw[:at] + piece + raw[at + data.draw(st.integers(0, 1)) :]):
            found = canonical.read(tried)
            assert (found and found[:3]) == judged(tried)
            if found:
                assert found[3] == (found[2] in ("log.open", "log.close", "log.gap"))
