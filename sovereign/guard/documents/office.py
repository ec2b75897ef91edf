"""Office files: every XML part of DOCX, XLSX, PPTX and OpenDocument, whatever it is for: text,
comments, headers, notes, hidden sheets, custom XML, and the pictures and files inside.

Properties (author, company, times) are not read: they are emptied, and do not leave. A document
type declaration, with which entities could expand, makes a part unreadable; so do macros and OLE
objects.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from xml.parsers import expat

from sovereign.guard.documents import archive
from sovereign.guard.documents.limits import Job

__all__ = ["is_office", "read"]

_words = str.split  # a list of words is easier to read as one string

_BLOCKS = frozenset(
    _words("p h si row tr sp sldLayout comment tab br cr line-break table-row list-item")
)
_CELLS = frozenset({"c", "tc", "table-cell"})
_NOISE = re.compile(
    r"-?[\d.]{1,7}%?|[0-9A-F]{8}|[\w:.+-]{1,3}|rId\d+|auto|true|false|none"
    r"|(?:Light|Medium|Dark|Colorful) (?:Shading|List|Grid)(?: \d)?(?: Accent \d)?"
    r"|[Hh]eading \d(?: Char)?|(?:toc|index|List(?: \w+)?) ?\d"
    r"|(?:https?://(?:schemas\.(?:openxmlformats|microsoft)\.(?:org|com)|www\.w3\.org"
    r"|purl\.org/dc)/[\w./-]*)|urn:oasis:names:[\w.:-]+"
)
"""Attribute values that say nothing of anybody: sizes, revision ids, colours, namespaces, and the
names of styles that come with the program."""

_PROPERTIES = {
    "docProps/core.xml": '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/'
    '2006/metadata/core-properties"/>',
    "docProps/app.xml": '<Properties xmlns="http://schemas.openxmlformats.org/officeDocument/2006/'
    'extended-properties"/>',
    "docProps/custom.xml": '<Properties xmlns="http://schemas.openxmlformats.org/officeDocument/2006'
    '/custom-properties"/>',
    "meta.xml": '<office:document-meta xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:'
    '1.0" office:version="1.3"/>',
}
_LOOKS = re.compile(
    r"(?:styles|stylesWithEffects|fontTable|settings|webSettings|numbering|theme\d*|tableStyles"
    r"|presProps|viewProps|slideMaster\d*|slideLayout\d*|\[Content_Types\]|manifest)\.xml"
)
"""Parts that say how a file looks and is built. Their attributes are marks, not sentences."""
_SPEAKING = frozenset(
    _words(
        "author initials title descr alt tooltip target displayname name userid providerid "
        "presenceid text alias tag string oddheader user-name creator prompt error"
    )
)
"""Attributes in which people write, in all other parts."""
_SPEAKING_IN = frozenset(_words("alias tag docVar placeholder"))
"""Elements whose only attribute is what people wrote."""
_XML = (".xml", ".rels", ".vml")
_DROPPED = ("/printerSettings", "/thumbnail.", "docProps/thumbnail")


def is_office(names: list[str]) -> bool:
    """Whether a ZIP of these files is an Office file."""
    return "[Content_Types].xml" in names or {"mimetype", "content.xml"} <= set(names)


def read(
    files: list[tuple[str, bytes]], job: Job, inner: Callable[[bytes, str, Job], bytes]
) -> bytes:
    """Every part's text into ``job``; the file as it may leave."""
    clean: list[tuple[str, bytes]] = []
    strings: list[str] = []
    for name, content in files:
        if name == "xl/sharedStrings.xml":
            strings = _shared(content, job)
    for number, (name, content) in enumerate(files, 1):
        if not re.fullmatch(r"[\w./\[\] ()-]{1,200}", name):
            job.cannot("an Office file whose parts have unusual names")
        place = f"part {number}"
        if name in _PROPERTIES:
            clean.append((name, _PROPERTIES[name].encode()))
        elif name.endswith(_XML):
            looks = _LOOKS.fullmatch(name.rpartition("/")[2]) is not None
            part = _Part(strings if "/worksheets/" in name else [], looks)
            if not part.parse(content):
                job.cannot("a part of an Office file that is not plain XML")
                return b""
            job.text(place, part.text())
            job.text(place, part.marks(), mark=True)
            clean.append((name, content))
        elif name == "mimetype":
            job.text(place, content[:200].decode("latin-1"))
            clean.append((name, content[:200]))
        elif any(word in name for word in _DROPPED):
            clean.append((name, b""))
        elif "vbaProject" in name or name.endswith((".bin", ".ole")):
            job.cannot("macros or OLE objects in an Office file")
        else:
            clean.append((name, inner(content, name, job.inside(place))))
    return archive.written(clean)


def _shared(content: bytes, job: Job) -> list[str]:
    """The texts that the cells of a workbook point at."""
    part = _Part([], False)
    if not part.parse(content):
        job.cannot("a part of an Office file that is not plain XML")
    return part.items


class _Part:
    """One XML part as lines of text: runs of one paragraph joined, cells of one row beside each
    other, then what speaking attributes and comments say; and its other attributes, as marks."""

    def __init__(self, strings: list[str], looks: bool) -> None:
        self._strings = strings
        self._looks = looks
        self._marks: dict[str, None] = {}
        self._out: list[str] = []
        self._said: dict[str, None] = {}
        self._item: list[str] | None = None
        self._points = False
        self.items: list[str] = []

    def parse(self, content: bytes) -> bool:
        """Whether it is XML without a document type declaration."""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse
        parser.EntityDeclHandler = _refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.CommentHandler = self._say
        parser.ProcessingInstructionHandler = lambda target, data: self._say(data)
        try:
            parser.Parse(content, True)
        except (expat.ExpatError, _Doctype):
            return False
        return True

    def text(self) -> str:
        return "".join(self._out).strip() + "\n" + "\n".join(self._said)

    def marks(self) -> str:
        return "\n".join(self._marks)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if local == "si":
            self._item = []
        if local in _CELLS:
            self._points = attributes.get("t") == "s"
        for key, value in attributes.items():
            if _NOISE.fullmatch(value) or (local == "creationId" and value.isdecimal()):
                continue
            plain = key.rpartition(":")[2].lower()
            if not self._looks and (plain in _SPEAKING or local in _SPEAKING_IN):
                self._say(value)
            else:
                self._marks[value] = None

    def _data(self, text: str) -> None:
        if self._points and self._strings and text.strip().isdecimal():
            index = int(text) if len(text) < 10 else -1
            text = self._strings[index] if 0 <= index < len(self._strings) else text
        if self._item is not None:
            self._item.append(text)
        self._out.append(text)

    def _end(self, name: str) -> None:
        local = name.rpartition(":")[2]
        if local == "si" and self._item is not None:
            self.items.append("".join(self._item))
            self._item = None
        if local in _CELLS:
            self._points = False
            self._out.append("\t")
        elif local in _BLOCKS:
            self._out.append("\n")

    def _say(self, text: str) -> None:
        if text.strip():
            self._said[text] = None


class _Doctype(Exception):
    """A part declares a document type."""


def _refuse(*_: Any) -> None:
    raise _Doctype
