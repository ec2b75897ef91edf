"""The formats that the scan reads, one small module each.

Which one reads a file is decided by its first bytes, and by its name where bytes do not tell.
"""

from __future__ import annotations

from sovereign.scan.readers.archive_reader import TarReader, ZipReader
from sovereign.scan.readers.bounds import Inside
from sovereign.scan.readers.csv_reader import CsvReader
from sovereign.scan.readers.document_reader import OfficeReader, PdfReader
from sovereign.scan.readers.html_reader import HtmlReader
from sovereign.scan.readers.json_reader import JsonReader
from sovereign.scan.readers.mail_reader import MailReader
from sovereign.scan.readers.packed import PackedReader
from sovereign.scan.readers.parquet_reader import ParquetReader
from sovereign.scan.readers.postgres_reader import PostgresReader, TableSource
from sovereign.scan.readers.sqlite_reader import SqliteReader
from sovereign.scan.readers.text import TextReader
from sovereign.scan.readers.unknown import UnknownReader
from sovereign.scan.record import Reader, Source, Unread
from sovereign.scan.source import head_of

__all__ = ["READERS", "open_reader", "reader_for"]


def reader_for(name: str, head: bytes) -> Reader:
    """The first reader that claims what is called ``name`` and starts with ``head``, its first
    :data:`sovereign.scan.source.HEAD` bytes, or all of them. There is always one: the last reads
    nothing, and says so."""
    return next(reader for reader in READERS if reader.claims(name, head))


def open_reader(source: Source) -> Reader | Unread:
    """The reader of ``source``, for which its head is read; or why it cannot be."""
    if isinstance(source, TableSource):
        return PostgresReader()
    head, failure = head_of(source)
    return Unread(failure) if failure and not head else reader_for(source.name, head)


_INSIDE = Inside(reader_for)

READERS: tuple[Reader, ...] = (
    PackedReader(_INSIDE),
    SqliteReader(),
    ParquetReader(),
    PdfReader(),
    OfficeReader(),
    ZipReader(_INSIDE),
    TarReader(_INSIDE),
    MailReader(_INSIDE),
    CsvReader(),
    JsonReader(),
    HtmlReader(),
    TextReader(),
    UnknownReader(),
)
