"""Programs, manifests and tables of goods: what looks like a label, a handle or a name there."""

from __future__ import annotations

import pytest

from sovereign.guard.recognizers.labels import LabelsRecognizer
from sovereign.guard.recognizers.tagger import Tagger
from sovereign.types import Finding

LABELS = LabelsRecognizer()


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger()


@pytest.mark.parametrize(
    "text",
    [
        "#     http://www.apache.org/licenses/LICENSE-2.0",
        "// under the Apache License v2.0 with LLVM Exceptions.",
        "env:\n  - {name: LOG_LEVEL, value: info}\n  - {name: HF_HUB_OFFLINE, value: yes}",
        "sku,name,price,stock\nA-1,Desk lamp,39.90,120\nA-2,Office chair,189.00,14",
        "| Name | Preis |\n|---|---|\n| Schreibtisch | 120 |\n| Lampe | 40 |",
    ],
)
def test_no_label_is_seen_where_there_is_none(text: str) -> None:
    assert not LABELS.recognize(text)


@pytest.mark.parametrize(
    ("text", "value", "entity"),
    [
        ("driver license 20571993", "20571993", "IDENTIFIER"),
        ("{name: Keller, age: 41}", "Keller", "PERSON"),
        ("*Name: Keller_", "Keller", "PERSON"),
        ("name,phone\nJane Keller,0143\nTom Brandt,0188", "Tom Brandt", "PERSON"),
        ("product,customer name\nDesk,Jane Keller\nLamp,Tom Brandt", "Jane Keller", "PERSON"),
    ],
)
def test_labels_beside_these_are_seen(text: str, value: str, entity: str) -> None:
    found = {(text[f.start : f.end], f.entity) for f in LABELS.recognize(text)}
    assert (value, entity) in found


DIFF = """diff --git a/src/pool.rs b/src/pool.rs
index 83db48f..bf2e1c9 100644
--- a/src/pool.rs
+++ b/src/pool.rs
@@ -41,7 +41,9 @@ impl Pool {
-        let conn = self.idle.pop().unwrap();
"""
TRACE = """Traceback (most recent call last):
  File "/usr/lib/python3.11/asyncio/runners.py", line 190, in run
    return runner.run(main)
  File "/srv/app/billing/worker.py", line 87, in process_batch
    await self._session.execute(stmt)
"""
CALLS = """#define sk_TRUST_is_sorted(sk) OPENSSL_sk_is_sorted(ossl_check_TRUST_sk_type(sk))
#define sk_TRUST_reserve(sk, n) OPENSSL_sk_reserve(ossl_check_TRUST_sk_type(sk), (n))
"""


def _of(tagger: Tagger, text: str, *entities: str) -> list[Finding]:
    return [f for f in tagger.recognize(text) if f.entity in entities]


def test_a_path_or_a_call_is_no_identifier(tagger: Tagger) -> None:
    assert not _of(tagger, DIFF, "EMAIL_ADDRESS")
    assert not _of(tagger, TRACE, "IDENTIFIER")
    assert not _of(tagger, CALLS, "EMAIL_ADDRESS", "SECRET")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("write to jane dot keller at st anna clinic dot org please", "keller"),
        ("mail me: jane.keller (at) st-anna-clinic.org", "jane.keller"),
        ("E-Mail: jane.keller@st-anna-clinic.org", "jane.keller@st-anna-clinic.org"),
    ],
)
def test_addresses_however_they_say_at_are_still_found(
    tagger: Tagger, text: str, value: str
) -> None:
    found = [text[f.start : f.end] for f in tagger.recognize(text)]
    assert any(value in one for one in found), found
