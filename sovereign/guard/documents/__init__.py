"""Documents of a request: read into texts that are inspected like any other, and written again from
what was read, so that nothing unread of them leaves.

Text is read here. Everything that needs a parser goes to the reading process
(:mod:`~sovereign.guard.documents.process`); what is said in audio is asked of a transcriber.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sovereign.guard.body import Leaf
from sovereign.guard.documents import audio, kinds
from sovereign.guard.documents.limits import DocumentLimits, Edit, Text
from sovereign.guard.documents.process import Readers
from sovereign.guard.documents.text import decode, visible
from sovereign.guard.views import Mapped, Reading, of_leaf, of_mapped
from sovereign.types import Path

__all__ = ["Document", "DocumentLimits", "Documents", "Transcribe"]

Transcribe = Callable[[bytes, str], str]
"""Audio and its kind (``"wav"``) to what is said in it. Raises
:class:`sovereign.errors.GuardError`."""

_LINES = re.compile(r"application/(?:x-ndjson|jsonl|json-lines|x-jsonlines)", re.IGNORECASE)
PICTURES = frozenset({"png", "jpeg", "webp", "gif", "bmp", "tiff"})


@dataclass(frozen=True, slots=True)
class Document:
    """One document as it was read. ``clean`` may be sent in its place if ``unread`` is empty and
    nothing in it is to be held back. ``texts`` of one that is edited as text are its lines, or
    one."""

    kind: str
    texts: tuple[Text, ...] = ()
    unread: tuple[str, ...] = ()
    clean: bytes = field(default=b"", repr=False)
    edit: Edit = "none"

    def __repr__(self) -> str:
        return f"Document({self.kind}, {len(self.texts)} texts)"

    def leaves(self, path: Path) -> list[Leaf]:
        """Its texts as leaves below ``path``."""
        return [
            Leaf(
                (*path, text.place or self.kind, number), text.text, "mark" if text.mark else "text"
            )
            for number, text in enumerate(self.texts)
        ]

    def readings(self, leaf: Leaf) -> tuple[Reading, ...]:
        """How one of its leaves is read: HTML also as it shows."""
        plain = of_leaf(leaf)
        shown = visible(leaf.text) if self.kind == "html" else None
        if shown is None:
            return plain
        text, places = shown
        return plain + of_mapped(Mapped(text, places, [p + 1 for p in places]), "html")

    def rewritten(self, texts: Sequence[str]) -> Document:
        """With other texts in place of its own."""
        new = tuple(replace(old, text=text) for old, text in zip(self.texts, texts, strict=True))
        return replace(self, texts=new, clean="\n".join(texts).encode())


class Documents:
    """Reads documents under one set of bounds. Thread-safe. ``ocr`` is ``"rapidocr"``,
    ``"tesseract"`` or ``"none"``; ``redact`` permits black boxes in pictures."""

    def __init__(
        self,
        limits: DocumentLimits | None = None,
        *,
        ocr: str = "rapidocr",
        redact: bool = False,
        transcribe: Transcribe | None = None,
        processes: int = 1,
    ) -> None:
        self._limits = limits or DocumentLimits()
        self._ocr = ocr
        self._redact = redact
        self._transcribe = transcribe
        self._readers = Readers(self._limits, processes)
        self._recent = Recent()

    def __repr__(self) -> str:
        return f"Documents(ocr={self._ocr})"

    def read(self, data: bytes, name: str = "", declared: str = "") -> Document:
        """Blocking. Raises :class:`sovereign.errors.Unreadable` if its reader is late or dies.

        A chat sends its pictures again with each turn: what was read lately is not read again.
        """
        key = self._recent.key(data, name, declared)
        known = self._recent.get(key)
        if known is None:
            known = self._fresh(data, name, declared)
            self._recent.put(key, known)
        return known

    def _fresh(self, data: bytes, name: str, declared: str) -> Document:
        kind = kinds.kind_of(data, name, declared)
        if kinds.contradicts(kind, declared):
            return Document(kind, unread=("a file that is not what it says it is",))
        if kind in kinds.TEXTS:
            return self._text(data, kind, name, declared)
        if kind in ("wav", "mp3"):
            return self._audio(data, kind)
        asked = {"do": "read", "name": name, "declared": declared, "ocr": self._ocr}
        head, clean = self._readers.ask(asked, data)
        edit: Edit = "picture" if kind in PICTURES and self._redact else "none"
        return Document(kind, _texts(head), tuple(map(str, head["unread"])), clean, edit)

    def black_out(self, document: Document, spans: Sequence[tuple[int, int, int]]) -> Document:
        """A picture without the words that ``spans`` (text, start, end) touch, read once more."""
        boxes = [
            box
            for number, start, end in spans
            for begin, stop, box in document.texts[number].parts
            if begin < end and start < stop
        ]
        asked = {"do": "black_out", "kind": document.kind, "boxes": boxes, "ocr": self._ocr}
        head, clean = self._readers.ask(asked, document.clean)
        unread = tuple(map(str, head["unread"]))
        return replace(document, texts=_texts(head), unread=unread, clean=clean)

    def close(self) -> None:
        """End the reading processes."""
        self._readers.close()

    def _text(self, data: bytes, kind: str, name: str, declared: str) -> Document:
        text = decode(data, declared)
        if text is None:
            return Document(kind, unread=(kinds.WORDS["binary"],))
        if len(text) > self._limits.max_text:
            return Document(kind, unread=(f"a text of over {self._limits.max_text} characters",))
        lines = [text]
        if name.lower().endswith((".jsonl", ".ndjson")) or _LINES.match(declared):
            # Each line is a JSON value of its own, and stays valid whatever is replaced in it.
            lines = text.split("\n")
        texts = tuple(Text("line" if len(lines) > 1 else "", line) for line in lines)
        return Document(kind, texts, (), "\n".join(lines).encode(), "text")

    def _audio(self, data: bytes, kind: str) -> Document:
        if self._transcribe is None:
            return Document(kind, unread=("audio, and no transcriber is configured",))
        sound = audio.clean(data, kind)
        if sound is None:
            return Document(kind, unread=("damaged audio",))
        said = self._transcribe(sound, kind)
        return Document(kind, (Text("said", said),), (), sound)


class Recent:
    """Documents read lately, in memory only, the oldest forgotten first."""

    MOST = 48_000_000
    """Bytes of what they may be sent as, and of their texts."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(32)
        self._held: OrderedDict[bytes, Document] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Recent({len(self._held)})"

    def key(self, data: bytes, name: str, declared: str) -> bytes:
        """Nobody can prepare two documents with one key."""
        said = hashlib.blake2b(key=self._salt, digest_size=32)
        for part in (name.encode("utf-8", "replace"), declared.encode("utf-8", "replace"), data):
            said.update(len(part).to_bytes(8, "big") + part)
        return said.digest()

    def get(self, key: bytes) -> Document | None:
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: bytes, document: Document) -> None:
        size = _size(document)
        if size > self.MOST // 4:
            return
        with self._lock:
            if key not in self._held:
                self._held[key] = document
                self._size += size
            while self._size > self.MOST:
                self._size -= _size(self._held.popitem(last=False)[1])


def _size(document: Document) -> int:
    return len(document.clean) + sum(4 * len(t.text) + 100 * len(t.parts) for t in document.texts)


def _texts(head: Any) -> tuple[Text, ...]:
    return tuple(
        Text(place, text, tuple((s, e, (b[0], b[1], b[2], b[3])) for s, e, b in parts), mark)
        for place, text, parts, mark in head["texts"]
    )
