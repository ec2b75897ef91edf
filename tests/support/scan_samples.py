"""One small file of every format that the scan reads, each holding the same person."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import json
import lzma
import sqlite3
import tarfile
import zipfile
from email.message import EmailMessage
from typing import Any

import documents
import pyarrow
import pyarrow.parquet

NAME, MAIL = "Zoë Zorblatt", "zoe@example.org"

TEXT = "".join(f"row {n}: {NAME} <{MAIL}>\n" for n in range(40)).encode()
CHAT: dict[str, Any] = {
    "model": "gpt-4o",
    "messages": [{"role": "user", "content": f"Write to {NAME}, {MAIL}"}],
}
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [{"message": {"role": "assistant", "content": f"Dear {NAME}, {MAIL}"}}],
}
HAR: dict[str, Any] = {
    "log": {
        "version": "1.2",
        "entries": [
            {
                "startedDateTime": "2026-01-02T03:04:05Z",
                "request": {
                    "method": "POST",
                    "url": "https://api.openai.com/v1/chat/completions",
                    "postData": {"text": json.dumps(CHAT)},
                },
                "response": {"content": {"text": json.dumps(ANSWER)}},
            }
        ]
        * 3,
    }
}
NOTEBOOK: dict[str, Any] = {
    "nbformat": 4,
    "cells": [
        {"cell_type": "code", "source": ["x = 1\n", f"mail = '{MAIL}'"], "outputs": []},
        {"cell_type": "markdown", "source": [f"# {NAME}\n", MAIL]},
    ],
}
LOG = (
    f"2026-01-02T03:04:05Z app {NAME} {MAIL}\n"
    '10.0.0.1 - - [02/Jan/2026:03:04:05 +0000] "GET /x?mail=zoe%40example.org HTTP/1.1" 200 5\n'
    "1700000000.1 CONNECT api.openai.com:443\n"
).encode()


def table(rows: int = 5) -> bytes:
    """CSV."""
    return ("name,mail,note\n" + f'"{NAME}",{MAIL},"a ""b"" c"\n' * rows).encode()


def database() -> bytes:
    """SQLite."""
    made = sqlite3.connect(":memory:")
    made.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, mail TEXT, face BLOB)")
    made.executemany(
        "INSERT INTO people (name, mail, face) VALUES (?, ?, ?)", [(NAME, MAIL, b"\xff\0")] * 4
    )
    made.commit()
    return bytes(made.serialize())


def columns() -> bytes:
    """Parquet, in several row groups."""
    out = io.BytesIO()
    held = pyarrow.table({"name": [NAME] * 5, "mail": [MAIL] * 5, "n": list(range(5))})
    pyarrow.parquet.write_table(held, out, row_group_size=2)
    return out.getvalue()


def message() -> bytes:
    """An e-mail with an attachment."""
    made = EmailMessage()
    made["From"] = f"{NAME} <{MAIL}>"
    made["Subject"] = "Größe"
    made["Date"] = "Fri, 02 Jan 2026 03:04:05 +0000"
    made["Message-ID"] = "<1@example.org>"
    made.set_content(f"This is {NAME}.\n")
    made.add_attachment(table(2), maintype="text", subtype="csv", filename="list.csv")
    return made.as_bytes()


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@functools.cache
def samples() -> dict[str, bytes]:
    """By the name of the file."""
    files = {"a/notes.txt": TEXT, "list.csv": table()}
    lines = "".join(json.dumps({"n": n, "mail": MAIL, "name": NAME}) + "\n" for n in range(20))
    return {
        "notes.txt": TEXT,
        "notes-16.txt": TEXT.decode().encode("utf-16"),
        "mixed.log": TEXT + TEXT.decode().encode("latin-1"),
        "app.log": LOG * 5,
        "app.jsonl": lines.encode(),
        "chat.jsonl": (json.dumps(CHAT) + "\n" + json.dumps(ANSWER) + "\n").encode() * 3,
        "traffic.har": json.dumps(HAR, indent=1).encode(),
        "analysis.ipynb": json.dumps(NOTEBOOK, indent=1).encode(),
        "list.csv": table(),
        "list.tsv": table().replace(b",", b"\t"),
        "people.sqlite": database(),
        "people.parquet": columns(),
        "notes.txt.gz": gzip.compress(TEXT),
        "notes.txt.bz2": bz2.compress(TEXT),
        "notes.txt.xz": lzma.compress(TEXT),
        "notes.txt.zst": bytes(pyarrow.compress(TEXT, codec="zstd", asbytes=True)),
        "files.zip": zipped({**files, "inner.zip": zipped(files)}),
        "files.tar.gz": gzip.compress(tarred({**files, "people.sqlite": database()})),
        "message.eml": message(),
        "box.mbox": (b"From zoe Fri Jan  2 03:04:05 2026\n" + message() + b"\n") * 2,
        "page.html": f"<html><p title='{MAIL}'>{NAME[:3]}<b>{NAME[3:]}</b>, {MAIL}".encode(),
        "letter.docx": documents.docx(lambda made: made.add_paragraph(f"{NAME}, {MAIL}")),
        "letter.pdf": documents.pdf(text=f"Zorblatt {MAIL}"),
    }
