"""How much work one document may cause, and what is learned of it while it is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Budget", "DocumentLimits", "Edit", "Job", "Parts", "Text", "TooMuch"]

Edit = Literal["text", "picture", "none"]
"""How a held-back value can be taken out of a document: by writing another text in its place, by a
black box, or not at all."""

Box = tuple[int, int, int, int]
Parts = tuple[tuple[int, int, Box], ...]


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """Bounds on one document; what passes one of them cannot be read."""

    max_unpacked: int = 100_000_000
    max_ratio: int = 200
    max_members: int = 2000
    max_depth: int = 3
    max_pages: int = 50
    max_pixels: int = 40_000_000
    max_text: int = 5_000_000
    seconds: float = 60.0
    memory: int = 3_000_000_000


class TooMuch(Exception):
    """A bound was passed. The words name it, and quote nothing."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text of a document, and where it stands: ``"page 2"``. ``parts`` place its words in a
    picture: ``(start, end, box)``. ``mark``: it is attributes of markup, names of fonts and styles:
    no sentence, so only what shows by its form is believed about it."""

    place: str
    text: str
    parts: Parts = ()
    mark: bool = False

    def __repr__(self) -> str:
        return f"Text({len(self.text)} characters)"


@dataclass(slots=True)
class Budget:
    """What is left of the bounds, for a document and everything inside it."""

    limits: DocumentLimits
    unpacked: int = 0
    members: int = 0
    pages: int = 0
    characters: int = 0

    def unpack(self, count: int) -> None:
        """``count`` more bytes came out of containers."""
        self.unpacked += count
        if self.unpacked > self.limits.max_unpacked:
            raise TooMuch(f"a document that unpacks to over {self.limits.max_unpacked} bytes")

    def packed(self, count: int, size: int) -> None:
        """``count`` bytes came out of ``size``. Small files may be packed as tight as they like."""
        if count > 1_000_000 and count > size * self.limits.max_ratio:
            raise TooMuch("a document that is packed suspiciously tight")

    def member(self) -> None:
        self.members += 1
        if self.members > self.limits.max_members:
            raise TooMuch(f"a container of more than {self.limits.max_members} files")

    def page(self) -> None:
        self.pages += 1
        if self.pages > self.limits.max_pages:
            raise TooMuch(f"a document of more than {self.limits.max_pages} pages")

    def pixels(self, width: int, height: int) -> None:
        if width * height > self.limits.max_pixels or max(width, height) > 30_000:
            raise TooMuch(f"a picture of more than {self.limits.max_pixels} pixels")

    def text(self, count: int) -> None:
        self.characters += count
        if self.characters > self.limits.max_text:
            raise TooMuch(f"a document of more than {self.limits.max_text} characters")


@dataclass(slots=True)
class Job:
    """One document being read: its texts so far, and what of it cannot be read."""

    budget: Budget
    ocr: str
    place: str = ""
    depth: int = 0
    texts: list[Text] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def text(self, place: str, text: str, parts: Parts = (), *, mark: bool = False) -> None:
        """Keep what was read, if it says anything."""
        if text.strip():
            self.budget.text(len(text))
            where = " ".join(filter(None, (self.place, place)))
            self.texts.append(Text(where, text, parts, mark))

    def cannot(self, what: str) -> None:
        """Something in it cannot be read. ``what`` is our own word for it."""
        if what not in self.unread:
            self.unread.append(what)

    def inside(self, place: str) -> Job:
        """The job of a document inside this one; it adds to the same lists."""
        if self.depth >= self.budget.limits.max_depth:
            raise TooMuch(f"documents nested deeper than {self.budget.limits.max_depth}")
        where = " ".join(filter(None, (self.place, place)))
        return Job(self.budget, self.ocr, where, self.depth + 1, self.texts, self.unread)
