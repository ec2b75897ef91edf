"""Exact data match: known persons are found however they are written, others are not; and an index
that is not what was built is refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sovereign.config import GuardConfig
from sovereign.errors import ConfigError
from sovereign.guard.recognizers import from_config
from sovereign.guard.recognizers.roster import RosterRecognizer
from sovereign.guard.recognizers.roster_build import build, columns

KEY = b"k" * 32
TABLE = """name,mrn,phone,email,born
Maria Anna Keller,MR-0048291,+49 30 1234567,maria@x-clinic.org,1984-03-12
"O'Brien, Seán",00482913,(212) 555-0143,,1990-01-01
Jürgen Müller-Lüdenscheidt,AB 771 203,+1 617 555 0199,j@m.de,
Will May,1234,,,
Cher,,,,
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("roster")
    table = folder / "patients.csv"
    table.write_text(TABLE, encoding="utf-8")
    out = folder / "roster.idx"
    report = build(table, columns("name,mrn,phone,email"), out, KEY)
    assert (report.rows, report.skipped["name"], report.skipped["mrn"]) == (5, 1, 1)
    return out


@pytest.fixture(scope="module")
def roster(index: Path) -> RosterRecognizer:
    return RosterRecognizer(index, KEY)


FOUND = {
    "Maria Keller came": [("Maria Keller", "PERSON")],
    "KELLER, MARIA ANNA": [("KELLER, MARIA ANNA", "PERSON")],
    "ask maria keller": [("maria keller", "PERSON")],
    "M. Keller, then Keller, M.": [("M. Keller", "PERSON"), ("Keller, M", "PERSON")],
    "Maria A. Keller": [("Maria A. Keller", "PERSON")],
    "Frau Keller and Dr. Keller": [("Keller", "PERSON"), ("Keller", "PERSON")],
    "OBrien^Sean": [("OBrien^Sean", "PERSON")],
    "Sean\nO’Brien": [("Sean\nO’Brien", "PERSON")],
    "Juergen Mueller-Luedenscheidt": [("Juergen Mueller-Luedenscheidt", "PERSON")],
    "Will May signed": [("Will May", "PERSON")],
    "MRN MR0048291": [("MR0048291", "MEDICAL_RECORD_NUMBER")],
    "mr-0048291": [("mr-0048291", "MEDICAL_RECORD_NUMBER")],
    "file 00482913.": [("00482913", "MEDICAL_RECORD_NUMBER")],
    "on 2024-05-06 AB771203": [("AB771203", "MEDICAL_RECORD_NUMBER")],
    "030 1234567": [("030 1234567", "PHONE_NUMBER")],
    "+49 (0)30 1234567": [("+49 (0)30 1234567", "PHONE_NUMBER")],
    "tel 1-212-555-0143": [("1-212-555-0143", "PHONE_NUMBER")],
    "617.555.0199": [("617.555.0199", "PHONE_NUMBER")],
    "to MARIA@X-CLINIC.ORG.": [("MARIA@X-CLINIC.ORG", "EMAIL_ADDRESS")],
}
QUIET = (
    "will may come, you will. May I?",
    "Keller left; Maria stayed",
    "met Maria. Keller watched",
    "Cher sang",
    "Oh Keller, I see",
    "Maria Müller and Seán Keller",
    "004829134 and 0.00482913 and 1234",
    "1984-03-12",
    "Dr. keller",
)


@pytest.mark.parametrize("text", FOUND)
def test_a_known_person_is_found_however_written(roster: RosterRecognizer, text: str) -> None:
    """With exact offsets: order, initials, titles, case, accents, punctuation, dialling codes."""
    assert [(text[f.start : f.end], f.entity) for f in roster.recognize(text)] == FOUND[text]


@pytest.mark.parametrize("text", QUIET)
def test_words_that_are_also_names_do_not_flag_a_text(roster: RosterRecognizer, text: str) -> None:
    """Single names, mixed names, longer numbers, dates."""
    assert [text[f.start : f.end] for f in roster.recognize(text)] == []


@given(st.text(max_size=200))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_legal(roster: RosterRecognizer, text: str) -> None:
    """Findings lie in the text, whatever it holds."""
    for f in roster.recognize(f"{text} Maria Keller {text}"):
        assert 0 <= f.start < f.end <= 2 * len(text) + 14


def test_the_index_holds_no_clear_value(index: Path) -> None:
    """Neither as written nor folded: names, numbers, mail."""
    raw = index.read_bytes().lower()
    for clear in (b"maria", b"keller", b"brien", b"0048291", b"482913", b"1234567", b"x-clinic"):
        assert clear not in raw


def test_two_keys_share_no_hash(index: Path, tmp_path: Path) -> None:
    """Two teams cannot compare their rosters."""
    table = tmp_path / "t.csv"
    table.write_text(TABLE, encoding="utf-8")
    other = tmp_path / "other.idx"
    build(table, columns("name,mrn,phone,email"), other, b"o" * 32)
    head, tail = index.read_bytes()[-150:], other.read_bytes()[-150:]
    assert head != tail


def test_the_wrong_key_is_refused(index: Path) -> None:
    """Silently finding nothing would be the worst."""
    with pytest.raises(ConfigError, match="another key"):
        RosterRecognizer(index, b"x" * 32)


@pytest.mark.parametrize("cut", [0, 5, 20, 60, 400, -1])
def test_a_truncated_index_is_refused(index: Path, tmp_path: Path, cut: int) -> None:
    """Wherever it ends."""
    broken = tmp_path / "cut.idx"
    broken.write_bytes(index.read_bytes()[:cut])
    with pytest.raises(ConfigError) as caught:
        RosterRecognizer(broken, KEY)
    assert "roster build" in caught.value.hint


def test_a_changed_index_is_refused_at_any_byte(index: Path, tmp_path: Path) -> None:
    """Whoever can write the file could take a person out of it."""
    raw = bytearray(index.read_bytes())
    broken = tmp_path / "changed.idx"
    for at in [*range(0, len(raw), 37), len(raw) - 1]:
        raw[at] ^= 1
        broken.write_bytes(raw)
        with pytest.raises(ConfigError):
            RosterRecognizer(broken, KEY)
        raw[at] ^= 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("shoe_size", "what is it"),
        ("born=DATE_OF_BIRTH", "points at nobody"),
        ("name=person", "no entity"),
        ("", "names no column"),
    ],
)
def test_columns_that_cannot_be_are_refused(spec: str, message: str) -> None:
    """Before a table of ten million rows is read."""
    with pytest.raises(ConfigError, match=message):
        columns(spec)


def test_columns_are_joined_and_named(tmp_path: Path) -> None:
    """First and last name in columns of their own; semicolons as separators."""
    table = tmp_path / "t.csv"
    table.write_text("Vorname;Nachname;Akte\nMaria;Keller;Z-99871\n", encoding="utf-8-sig")
    out = tmp_path / "t.idx"
    build(table, columns("Vorname+Nachname,Akte=CASE_NUMBER"), out, KEY)
    text = "Keller, Maria (Z99871)"
    found = {(text[f.start : f.end], f.entity) for f in RosterRecognizer(out, KEY).recognize(text)}
    assert found == {("Keller, Maria", "PERSON"), ("Z99871", "CASE_NUMBER")}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name\n", "no value"),
        ("other\nx\n", "no column 'name'"),
        ("name,mrn\nMaria Keller\n", "line 2 has 1 cells"),
    ],
)
def test_a_broken_table_leaves_nothing_behind(tmp_path: Path, table: str, message: str) -> None:
    """The old index stays, and no half of a new one."""
    (tmp_path / "t.csv").write_text(table)
    out = tmp_path / "t.idx"
    out.write_bytes(b"old")
    with pytest.raises(ConfigError, match=message) as caught:
        build(tmp_path / "t.csv", columns("name"), out, KEY)
    assert "Keller" not in f"{caught.value} {caught.value.hint}"
    assert out.read_bytes() == b"old"
    assert {p.name for p in tmp_path.iterdir()} == {"t.csv", "t.idx"}


def test_the_configuration_names_rosters_and_their_key(index: Path, tmp_path: Path) -> None:
    """Paths are relative to the file; the guard refuses to start without the index."""
    (tmp_path / "k").write_bytes(KEY)
    (tmp_path / "roster.idx").write_bytes(index.read_bytes())
    config = GuardConfig.model_validate(
        {"ner": "none", "roster": ["roster.idx"], "roster_key_file": "k"}
    )
    names = [r.name for r in from_config(config, folder=tmp_path)]
    assert names[-1] == "roster:roster"
    with pytest.raises(ConfigError, match="No such file"):
        from_config(config.model_copy(update={"roster": (Path("gone.idx"),)}), folder=tmp_path)


def test_many_entries_are_found_after_spilling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The build holds few entries at a time; none is lost between partitions and buckets."""
    from sovereign.guard.recognizers import roster_build

    monkeypatch.setattr(roster_build, "SPILL", 500)
    table = tmp_path / "t.csv"
    rows = [f"MR{i * 7919:09d}" for i in range(3000)]
    table.write_text("mrn\n" + "\n".join(rows) + "\n")
    out = tmp_path / "t.idx"
    assert build(table, columns("mrn"), out, KEY).entries == 3000
    roster = RosterRecognizer(out, KEY)
    assert all(len(roster.recognize(f"see {r}, please")) == 1 for r in rows)
    assert not any(roster.recognize(f"see MR{i * 7919 + 1:09d}") for i in range(3000))


@pytest.mark.parametrize(
    "unit", ["Maria ", "M. ", "12 ", "00482913", "a@", "Dr. ", "1-", "é", "+49"]
)
def test_reading_takes_linear_time(roster: RosterRecognizer, unit: str) -> None:
    """However hostile the text: eight times as long takes about eight times the time."""

    def spent(size: int) -> float:
        text = (unit * size)[:size]
        start = time.process_time()
        roster.recognize(text)
        return time.process_time() - start

    spent(1000)
    long = min(spent(32_000) for _ in range(3))
    assert long < 40 * max(spent(4_000), 0.002)
