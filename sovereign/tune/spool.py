"""A sequence that may be larger than memory: in memory up to a bound, and beyond it in a file that
has no name, so that nothing is left of it however the process ends. Knows not what it holds.
"""

from __future__ import annotations

import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar, overload

from sovereign.errors import TuneError

__all__ = ["MEMORY", "Spool"]

T = TypeVar("T")

MEMORY = 64_000_000
"""Bytes that stay in memory. The file is in the folder that TMPDIR names, or in the system's."""


class Spool(Sequence[T]):
    """Values in the order in which they were appended; each is read anew when it is asked for.
    Raises :class:`TuneError` if the disk is full."""

    def __init__(self, write: Callable[[T], bytes], read: Callable[[bytes], T]) -> None:
        self._write, self._read = write, read
        self._ends = array("Q", [0])
        # It closes itself when it goes, which a context would do too early.
        self._file = tempfile.SpooledTemporaryFile(max_size=MEMORY)  # noqa: SIM115
        weakref.finalize(self, self._file.close)

    def append(self, value: T) -> None:
        data = self._write(value)
        try:
            self._file.seek(self._ends[-1])
            self._file.write(data)
        except OSError as e:
            raise TuneError(
                f"the rows cannot be held on this disk: {e.strerror}",
                hint="name a folder with more room in TMPDIR",
            ) from None
        self._ends.append(self._ends[-1] + len(data))

    def extend(self, values: Iterable[T]) -> Spool[T]:
        """Append all, and return itself."""
        for value in values:
            self.append(value)
        return self

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        at = range(len(self))[at]
        begin, end = self._ends[at : at + 2]
        self._file.seek(begin)
        return self._read(self._file.read(end - begin))

    def __repr__(self) -> str:
        return f"Spool({len(self)} values)"
