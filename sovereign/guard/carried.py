"""The documents that one body carries: taken out of it, read beside its leaves, and put back as
they may leave. A document that holds something and cannot be changed makes the request unreadable.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sovereign.guard import payloads
from sovereign.guard.body import Leaf, rebuild
from sovereign.guard.documents import Document, Documents
from sovereign.guard.form import Upload
from sovereign.guard.needles import Needles
from sovereign.guard.opaque import Parcel, Seen
from sovereign.guard.scan import Hit
from sovereign.guard.transform import Transformed, held_back
from sovereign.guard.views import Reading
from sovereign.types import JSON, Action, Path

__all__ = ["Carried"]


class Carried:
    """``body`` has the documents' letters taken out. With ``documents`` they are read; without,
    they are put back as they came: for a model inside, whom nothing is kept from."""

    def __init__(
        self, body: JSON, seen: Seen, documents: Documents | None, *, inside: bool = False
    ) -> None:
        """``inside``: what needs no change goes on as it came, read or not."""
        self._inside = inside
        self._changed: set[int] = set()
        self._parcels = seen.parcels
        self._read = documents
        self._payloads: dict[Path, list[str]] = {}
        for parcel in filter(lambda p: p.payload, seen.parcels):
            self._payloads.setdefault(parcel.path, []).append(parcel.payload)
        self.body = rebuild(
            body,
            {
                path: payloads.stripped(_at(body, path), letters)
                for path, letters in self._payloads.items()
            },
        )
        self.documents: list[Document] = []
        self.leaves: list[Leaf] = []
        self.readings: list[tuple[Reading, ...]] = []
        self.unread: list[str] = []
        self._owners: list[tuple[int, int]] = []
        for index, parcel in enumerate(seen.parcels if documents else ()):
            assert documents is not None
            document = documents.read(parcel.data, parcel.name, parcel.declared)
            self.documents.append(document)
            self.unread += document.unread
            for number, leaf in enumerate(document.leaves(parcel.path)):
                self._owners.append((index, number))
                self.leaves.append(leaf)
                self.readings.append(document.readings(leaf))

    def __repr__(self) -> str:
        return f"Carried({len(self._parcels)} documents)"

    def change(
        self, done: Transformed, hits: Sequence[Hit], actions: Sequence[Action], first: int
    ) -> list[str]:
        """Take out of the documents what is held back, where that can be done; else say what cannot
        be. ``first`` is the place of their first leaf among those that the hits count."""
        held: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for hit, action in zip(hits, actions, strict=True):
            if hit.leaf >= first and held_back(action):
                index, number = self._owners[hit.leaf - first]
                held[index].append((number, hit.finding.start, hit.finding.end))
        unread: list[str] = []
        for index, spans in held.items():
            document = self.documents[index]
            self._changed.add(index)
            if document.edit == "text":
                leaves = document.leaves(self._parcels[index].path)
                texts = [done.replaced.get(leaf.path, leaf.text) for leaf in leaves]
                self.documents[index] = document.rewritten(texts)
            elif document.edit == "picture" and self._read is not None:
                self.documents[index] = self._read.black_out(document, spans)
                if self.documents[index].unread or self._shows(self.documents[index], done.values):
                    unread.append("a picture in which what is held back can still be read")
            else:
                unread.append("a document with something in it that is to be held back")
        return unread

    def put_back(self, body: JSON) -> JSON:
        """``body`` with each document as it may leave."""
        replaced: dict[Path, str] = {}
        uploads: dict[Path, bytes] = {}
        written: dict[Path, list[str]] = defaultdict(list)
        for parcel, clean in zip(self._parcels, self._clean(), strict=True):
            if parcel.payload:
                written[parcel.path].append(self._letters(parcel, clean))
            else:
                uploads[parcel.path] = clean
        for path, letters in written.items():
            replaced[path] = payloads.filled(_at(body, path), letters)
        body = rebuild(body, replaced) if replaced else body
        return _loaded(body, uploads) if uploads else body

    def outgoing(self) -> Mapping[str | bytes, tuple[str, ...]]:
        """For the residual check: what carries each document in the outgoing bytes, and its
        texts."""
        said = [tuple(t.text for t in document.texts) for document in self.documents]
        out: dict[str | bytes, tuple[str, ...]] = {}
        for parcel, clean, texts in zip(
            self._parcels, self._clean(), said or [()] * len(self._parcels), strict=True
        ):
            out[self._letters(parcel, clean) if parcel.payload else clean] = texts
        return out

    def _clean(self) -> list[bytes]:
        if self._read is None:
            return [parcel.data for parcel in self._parcels]
        return [
            parcel.data if self._inside and index not in self._changed else document.clean
            for index, (parcel, document) in enumerate(
                zip(self._parcels, self.documents, strict=True)
            )
        ]

    def _letters(self, parcel: Parcel, clean: bytes) -> str:
        if self._read is None:
            return parcel.payload
        return base64.b64encode(clean).decode("ascii")

    @staticmethod
    def _shows(document: Document, values: Mapping[str, str]) -> bool:
        needles = Needles()
        for value, entity in values.items():
            needles.add(value, entity)
        return any(True for text in document.texts for _ in needles.find(text.text))


def _at(body: JSON, path: Path) -> str:
    for step in path:
        body = body[step]
    return str(body)


def _loaded(value: JSON, uploads: Mapping[Path, bytes], path: Path = ()) -> JSON:
    """A form with other bytes in its files. Forms are one level deep, with lists."""
    if isinstance(value, Upload):
        return replace(value, data=uploads.get(path, b""))
    if isinstance(value, dict):
        return {k: _loaded(v, uploads, (*path, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_loaded(v, uploads, (*path, i)) for i, v in enumerate(value)]
    return value
