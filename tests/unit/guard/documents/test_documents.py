"""Documents: what hides in them is found, what is sent was read, and hostile ones cost little."""

from __future__ import annotations

import base64
import html
import io
import os
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from documents import HIDDEN, NAME, docx, mail, pdf, picture, pptx, sound, with_member, xlsx, zipped

from sovereign.errors import Unreadable
from sovereign.guard import Guard
from sovereign.guard.documents import Document, DocumentLimits, Documents
from sovereign.policy import Policy
from sovereign.types import Action, Destination

HOSTED = Destination("openai", "hosted")


@pytest.fixture(scope="module")
def documents() -> Iterator[Documents]:
    """One reading process for all: its OCR model loads once."""
    read = Documents()
    yield read
    read.close()


@pytest.fixture
def guarded(documents: Documents, make_guard: Callable[..., Guard]) -> Guard:
    """The marking guard with documents."""
    guard = make_guard()
    guard.documents = documents
    return guard


def file_body(data: bytes, name: str) -> dict[str, Any]:
    held = {"filename": name, "file_data": base64.b64encode(data).decode()}
    parts = [{"type": "text", "text": "Summarise this."}, {"type": "file", "file": held}]
    return {"model": "m", "messages": [{"role": "user", "content": parts}]}


def sent(body: dict[str, Any]) -> bytes:
    return base64.b64decode(body["messages"][0]["content"][1]["file"]["file_data"])


@pytest.mark.parametrize("where", HIDDEN)
def test_a_name_in_a_document_does_not_leave(guarded: Guard, where: str) -> None:
    """It is taken out of what is text, and refused in everything else."""
    data, name = HIDDEN[where]()
    body = file_body(data, name)
    if name.endswith((".txt", ".csv", ".jsonl", ".html", ".svg")):
        done = guarded.inspect(body, to=HOSTED, shape="openai.chat")
        assert done.findings
        out = sent(done.body).decode()
        assert "orblatt" not in out
        assert "PERSON_" in out or "[" in out
        done.check_residual(raw=done.encode())
        restored = html.unescape(re.sub("<[^>a]+>", "", done.restorer.text(out)))
        assert re.sub(r"\\u005a", "Z", restored).count(NAME) == 1
    else:
        with pytest.raises(Unreadable, match="something in it that is to be held back"):
            guarded.inspect(body, to=HOSTED, shape="openai.chat")


CLEAN: dict[str, tuple[Callable[[], bytes], str]] = {
    "docx": (docx, "a.docx"),
    "xlsx": (xlsx, "a.xlsx"),
    "pptx": (pptx, "a.pptx"),
    "pdf": (pdf, "a.pdf"),
    "png": (lambda: picture("Good morning"), "a.png"),
    "eml": (mail, "a.eml"),
    "zip": (lambda: zipped(**{"a.txt": b"hello"}), "a.zip"),
}


@pytest.mark.parametrize("kind", CLEAN)
def test_a_document_that_holds_nothing_leaves_and_still_opens(guarded: Guard, kind: str) -> None:
    """Written again, in the same format."""
    make, name = CLEAN[kind]
    done = guarded.inspect(file_body(make(), name), to=HOSTED, shape="openai.chat")
    assert done.verdict.action is Action.ALLOW
    again = guarded.documents.read(sent(done.body), name)
    first = guarded.documents.read(make(), name)
    if kind != "eml":  # its transfer encoding is ours now
        assert [t.text for t in again.texts] == [t.text for t in first.texts]
    assert again.kind == first.kind


def test_metadata_and_whatever_was_not_read_stay_here(documents: Documents) -> None:
    """EXIF, text chunks, bytes behind the end, properties of Office files, PDF's information and
    its older revisions, comments of archives, tags of audio."""
    from PIL import Image, PngImagePlugin

    exif = Image.Exif()
    exif[0x013B] = NAME
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", NAME)

    def author(document: Any) -> None:
        document.core_properties.author = NAME

    commented = io.BytesIO()
    with zipfile.ZipFile(commented, "w") as z:
        z.writestr("a.txt", "hello")
        z.comment = NAME.encode()
    old = pdf(text="Nothing") + f"\n% {NAME}\n".encode()
    hides = {
        "a.jpg": picture("Good morning", "JPEG", exif=exif, comment=NAME.encode()),
        "a.png": picture("Good morning", "PNG", pnginfo=notes) + NAME.encode(),
        "a.docx": docx(author),
        "a.pdf": pdf(title=NAME),
        "b.pdf": old,
        "a.zip": commented.getvalue(),
    }
    for name, data in hides.items():
        document = documents.read(data, name)
        assert not document.unread
        assert NAME.encode() not in _unpacked(document.clean), name
    heard = Documents(transcribe=lambda data, kind: "good morning").read(sound(), "a.wav")
    assert NAME.encode() in sound()
    assert NAME.encode() not in heard.clean


def _unpacked(data: bytes) -> bytes:
    if not data.startswith(b"PK"):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        return data + b"".join(z.read(name) for name in z.namelist())


UNREADABLE: dict[str, tuple[Callable[[], bytes], str]] = {
    "an encrypted PDF": (lambda: pdf(password="x"), "a.pdf"),
    "half a PDF": (lambda: pdf()[:300], "a.pdf"),
    "half a picture": (lambda: picture()[:200], "a.png"),
    "two frames": (
        lambda: picture(kind="GIF", save_all=True, append_images=[_frame()], duration=9),
        "a.gif",
    ),
    "macros": (lambda: with_member(docx(), "word/vbaProject.bin", b"x"), "a.docm"),
    "an entity in a part": (
        lambda: with_member(
            docx(), "word/x.xml", b'<!DOCTYPE a [<!ENTITY e "Ada">]><a>&e; Zorblatt</a>'
        ),
        "a.docx",
    ),
    "a file of no format": (lambda: bytes(range(256)) * 9, "a.bin"),
    "an old Office file": (lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 99, "a.doc"),
    "gzip": (lambda: b"\x1f\x8b" + b"x" * 99, "a.gz"),
    "a name that leads out of a ZIP": (lambda: zipped(**{"../a.txt": b"x"}), "a.zip"),
    "a file that stands twice in a ZIP": (
        lambda: with_member(zipped(**{"a.txt": b"x"}), "a.txt", b"y"),
        "a.zip",
    ),
    "a ZIP bomb": (lambda: zipped(**{"a.txt": b"0" * 30_000_000}), "a.zip"),
    "many small files": (lambda: zipped(**{f"{i}.txt": b"" for i in range(2500)}), "a.zip"),
    "a ZIP in a ZIP in a ZIP in a ZIP": (
        lambda: zipped(a=zipped(b=zipped(c=zipped(d=b"deep")))),
        "a.zip",
    ),
    "a picture of very many pixels": (lambda: _wide(), "a.png"),
    "audio": (sound, "a.wav"),
}


def _frame() -> Any:
    from PIL import Image

    return Image.new("RGB", (8, 8), "red")


def _wide() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("1", (29_000, 29_000)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_says_so_and_quotes_nothing(documents: Documents, what: str) -> None:
    """And nothing of it may be sent."""
    make, name = UNREADABLE[what]
    document = documents.read(make(), name)
    assert document.unread
    assert document.clean == b""
    assert "Zorblatt" not in " ".join(document.unread)


def test_a_type_that_the_bytes_contradict_is_refused(documents: Documents) -> None:
    """Two programs would read two things."""
    assert documents.read(picture(), "a.png", "application/pdf").unread
    assert documents.read(b"hello", "a.txt", "image/png").unread
    assert not documents.read(b"hello", "a.txt", "text/csv").unread


def test_a_reader_that_is_late_is_killed_and_the_next_document_is_read() -> None:
    """A document cannot hold its reader for longer than the bound."""
    slow = Documents(DocumentLimits(seconds=0.05))
    began = time.monotonic()
    with pytest.raises(Unreadable, match="read"):
        slow.read(picture("x " * 200), "a.png")
    assert time.monotonic() - began < 25
    slow._limits = slow._readers._limits = DocumentLimits()
    assert slow.read(xlsx(), "a.xlsx").texts
    slow.close()


def test_the_reading_process_reaches_nothing_and_has_no_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It reads what strangers send: no network, no file it could write, none of our keys."""
    monkeypatch.setenv("HOSTED_KEY", "upstream-secret")
    read = Documents()
    read.read(xlsx(), "a.xlsx")
    (process,) = read._readers._all
    pid = process._child.pid
    proc = Path("/proc") / str(pid)
    assert "Max file size             0" in (proc / "limits").read_text()
    assert process.isolated or os.geteuid() != 0
    if process.isolated:
        assert (proc / "ns" / "net").readlink() != Path("/proc/self/ns/net").readlink()
    assert b"upstream-secret" not in (proc / "environ").read_bytes()
    read.close()
    assert process._child.poll() is not None


def test_a_picture_is_blacked_out_where_it_may_not_be_read(
    make_guard: Callable[..., Guard],
) -> None:
    """With ``redact``: a box over the words, and OCR reads the rest as before."""
    guard = make_guard()
    guard.documents = Documents(redact=True)
    data = picture(f"Patient {NAME} came today")
    done = guard.inspect(file_body(data, "a.png"), to=HOSTED, shape="openai.chat")
    assert done.verdict.action is Action.PSEUDONYMIZE
    done.check_residual(raw=done.encode())
    seen = " ".join(t.text for t in guard.documents.read(sent(done.body), "a.png").texts)
    assert "Patient" in seen
    assert "today" in seen
    assert "orblatt" not in seen
    guard.documents.close()


def test_audio_is_read_by_the_transcriber(make_guard: Callable[..., Guard]) -> None:
    """Audio that says nothing personal leaves without its tags; one that does is not sent."""
    guard = make_guard()
    part = {"data": base64.b64encode(sound()).decode(), "format": "wav"}
    content = [{"type": "input_audio", "input_audio": part}]
    body = {"messages": [{"role": "user", "content": content}]}
    guard.documents = Documents(transcribe=lambda data, kind: "good morning")
    done = guard.inspect(body, to=HOSTED, shape="openai.chat")
    out = base64.b64decode(done.body["messages"][0]["content"][0]["input_audio"]["data"])
    assert out.startswith(b"RIFF")
    assert NAME.encode() not in out
    guard.documents = Documents(transcribe=lambda data, kind: f"this is {NAME}")
    with pytest.raises(Unreadable):
        guard.inspect(body, to=HOSTED, shape="openai.chat")


def test_unread_documents_stay_inside_where_the_policy_says_so(
    make_guard: Callable[..., Guard],
) -> None:
    """And the model inside gets them as they came."""
    policy = Policy(name="p", unreadable="local", hosted={"*": "mask"})
    guard = make_guard(policy=policy)
    body = file_body(b"\x1f\x8b" + os.urandom(99), "a.gz")
    done = guard.inspect(body, to=HOSTED, shape="openai.chat")
    assert done.verdict.action is Action.LOCAL
    inside = guard.inspect(body, to=Destination("m", "local"), shape="openai.chat")
    assert inside.body == body


def test_what_was_read_lately_is_not_read_again(documents: Documents) -> None:
    """A chat sends its pictures with every turn."""
    data = picture("Once")
    first = documents.read(data, "a.png")
    began = time.monotonic()
    assert documents.read(data, "a.png") is first
    assert time.monotonic() - began < 0.05
    assert isinstance(first, Document)
    assert "Once" not in repr(first)
