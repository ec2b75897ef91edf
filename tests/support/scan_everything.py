"""A folder of every format that the scan reads, of any size, with planted identifiers: what stands
in which file is known. Nobody in it exists."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from scan_corpus import Planted, application_log, prose, value

__all__ = ["REWRITTEN", "VERBATIM", "everything", "table_rows"]

Made = tuple[bytes, list[Planted]]
Make = Callable[[random.Random, int], Made]
KINDS = ("EMAIL_ADDRESS", "US_SSN", "CREDIT_CARD", "IBAN_CODE")
SAID = {
    "EMAIL_ADDRESS": "Write to {} about the refund.",
    "US_SSN": "Her SSN is {}, as before.",
    "CREDIT_CARD": "The card was {}, and it was declined.",
    "IBAN_CODE": "Pay it to IBAN {} by Friday.",
}
MESSAGE = 5_000_000
"""Bytes of what is attached to one message."""
VERBATIM = frozenset({"app.log", "notes.txt", "events.jsonl", "calls.jsonl", "rows.csv"})
"""Files in which every planted value stands at the byte where the scan says it does."""
REWRITTEN = VERBATIM | {
    *("call.json", "book.ipynb", "rows.parquet", "rows.sqlite", "wide.txt"),
    *("app.log.gz", "app.log.bz2", "notes.txt.xz", "events.jsonl.zst", "mixed.txt"),
}
"""Files that can be rewritten."""


def everything(folder: Path, seed: int, size: int) -> dict[str, list[Planted]]:
    """Write about ``size`` bytes in all below ``folder``; the planted (entity, value) by file."""
    folder.mkdir(parents=True, exist_ok=True)
    planted = {}
    for number, (name, make) in enumerate(_MAKERS.items()):
        rng = random.Random(f"{seed}/{number}")
        data, found = make(rng, max(4_000, size // len(_MAKERS)))
        (folder / name).write_bytes(data)
        planted[name] = found
    return planted


def _planted(rng: random.Random) -> tuple[Planted, str]:
    entity = rng.choice(KINDS)
    secret = value(entity, rng)
    return (entity, secret), SAID[entity].format(secret)


def _text(rows: Iterator[tuple[str, Planted | None]]) -> Made:
    lines, found = [], []
    for line, planted in rows:
        lines.append(line)
        found += [planted] if planted else []
    return "".join(lines).encode(), found


def _log(rng: random.Random, size: int) -> Made:
    return _text(application_log(rng, size // 85, every=50))


def _notes(rng: random.Random, size: int) -> Made:
    return _text(prose(rng, size // 80, every=25))


def _mixed(rng: random.Random, size: int) -> Made:
    """Lines in UTF-8 and in Windows-1252."""
    data, found = _notes(rng, size)
    lines = data.decode().splitlines(keepends=True)
    return b"".join(
        f"Müller {n}: {line}".encode("cp1252" if n % 3 == 1 else "utf-8")
        for n, line in enumerate(lines)
    ), found


def _wide(rng: random.Random, size: int) -> Made:
    """UTF-16, with its mark."""
    data, found = _notes(rng, size // 2)
    return data.decode().encode("utf-16"), found


def _events(rng: random.Random, size: int) -> Made:
    lines, found = [], []
    for number in range(size // 150):
        row: dict[str, Any] = {
            "time": f"2026-11-02T10:{number // 60 % 60:02}:{number % 60:02}Z",
            "level": rng.choice(["info", "warn"]),
            "took_ms": rng.randrange(1, 900),
            "message": "the cache was filled again",
        }
        if number % 20 == 19:
            planted, row["message"] = _planted(rng)
            found.append(planted)
        lines.append(json.dumps(row) + "\n")
    return "".join(lines).encode(), found


def _call(rng: random.Random, text: str) -> dict[str, Any]:
    return {
        "time": "2026-11-02T10:00:00Z",
        "url": "https://api.openai.com/v1/chat/completions",
        "request": {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]},
        "response": {"choices": [{"message": {"content": f"I cannot tell ({rng.random():.3f})."}}]},
    }


def _calls(rng: random.Random, size: int) -> Made:
    found, lines = [], []
    for _ in range(size // 300):
        planted, text = _planted(rng)
        found.append(planted)
        lines.append(json.dumps(_call(rng, text)) + "\n")
    return "".join(lines).encode(), found


def _json(rng: random.Random, size: int) -> Made:
    """A document with escapes, and JSON in a string."""
    found, calls = [], []
    for _ in range(size // 450):
        planted, text = _planted(rng)
        found.append(planted)
        calls.append({"note": f'He said:\n"{text}"', "body": json.dumps(_call(rng, "Hello."))})
    return json.dumps({"records": calls}, indent=2).encode(), found


def _book(rng: random.Random, size: int) -> Made:
    found, cells = [], []
    for number in range(size // 200):
        planted, text = _planted(rng)
        found.append(planted)
        source = [f"x = {number}\n", f"# {text}\n", "print(x)"]
        cells.append({"cell_type": "code", "source": source, "outputs": [], "metadata": {}})
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    return json.dumps(book, indent=1).encode(), found


def table_rows(rng: random.Random, size: int) -> tuple[list[tuple[int, str, str]], list[Planted]]:
    """Rows of three cells, about ``size`` bytes of them; an identifier in one of ten."""
    rows, found = [], []
    for number in range(size // 60):
        note = rng.choice(("paid in full", "sent again, by post", "waiting for an answer"))
        if number % 10 == 9:
            planted, note = _planted(rng)
            found.append(planted)
        rows.append((number, rng.choice(("open", "closed")), note))
    return rows, found


def _csv(rng: random.Random, size: int) -> Made:
    rows, found = table_rows(rng, size)
    out = io.StringIO()
    csv.writer(out).writerows([("id", "state", "note"), *rows])
    return out.getvalue().encode(), found


def _parquet(rng: random.Random, size: int) -> Made:
    rows, found = table_rows(rng, size)
    names = ("id", "state", "note")
    columns = {n: [r[i] for r in rows] for i, n in enumerate(names)}
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), out)
    return out.getvalue(), found


def _sqlite(rng: random.Random, size: int) -> Made:
    rows, found = table_rows(rng, size)
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE bill (id INTEGER PRIMARY KEY, state TEXT, note TEXT)")
    database.executemany("INSERT INTO bill VALUES (?, ?, ?)", rows)
    database.commit()
    return bytes(database.serialize()), found


def _packed(make: Make, pack: Callable[[bytes], bytes]) -> Make:
    def made(rng: random.Random, size: int) -> Made:
        data, found = make(rng, size)
        return pack(data), found

    return made


def _zip(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/notes.txt", data)
    return out.getvalue()


def _tar(data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        info = tarfile.TarInfo("app.log")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _mail(data: bytes) -> bytes:
    """A message with an attachment; of what is too much for one, a mailbox."""
    lines = data.splitlines(keepends=True)
    if len(data) <= MESSAGE:
        return _message(data)
    step = len(lines) * MESSAGE // len(data)
    some = (b"".join(lines[at : at + step]) for at in range(0, len(lines), step))
    return b"".join(b"From a Fri Jan  2 03:04:05 2026\n%s\n" % _message(one) for one in some)


def _message(data: bytes) -> bytes:
    mail = EmailMessage()
    mail["Subject"] = "The minutes"
    mail.set_content("They are attached.\n")
    mail.add_attachment(data, maintype="text", subtype="plain", filename="notes.txt")
    return mail.as_bytes()


def _html(data: bytes) -> bytes:
    lines = "".join(f"<p>{line}</p>\n" for line in data.decode().splitlines())
    return f"<!doctype html><html><body>\n{lines}</body></html>\n".encode()


_MAKERS: dict[str, Make] = {
    "app.log": _log,
    "notes.txt": _notes,
    "mixed.txt": _mixed,
    "wide.txt": _wide,
    "events.jsonl": _events,
    "calls.jsonl": _calls,
    "call.json": _json,
    "book.ipynb": _book,
    "rows.csv": _csv,
    "rows.parquet": _parquet,
    "rows.sqlite": _sqlite,
    "app.log.gz": _packed(_log, gzip.compress),
    "app.log.bz2": _packed(_log, bz2.compress),
    "notes.txt.xz": _packed(_notes, lzma.compress),
    "events.jsonl.zst": _packed(_events, lambda data: pyarrow.compress(data, "zstd", asbytes=True)),
    "notes.zip": _packed(_notes, _zip),
    "logs.tar.gz": _packed(_log, _tar),
    "mail.eml": _packed(_notes, _mail),
    "page.html": _packed(_notes, _html),
}
