"""Log-probabilities of a reply's tokens, restored as the text is that the tokens spell.

Tokens that share letters with a surrogate become one entry: the restored text of all that they
cover, with the sum of their log-probabilities and no alternatives. What a token spells are its
``bytes``, since one may be half a character; without any, its letters, or the bytes that stand in
them (``bytes:\\xe2``, as OpenAI's completions say it). From the first entry on that is not what the
text says there, all stay as they came.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from sovereign.types import JSON

__all__ = ["Found", "Scores", "given", "read", "restored", "write"]

Found = tuple[int, int, str]
"""Where a surrogate begins and ends in a text, and what is shown in its place."""

_ROW: Final = {"tokens": "token", "token_logprobs": "logprob"}
_COLUMN: Final = {name: column for column, name in _ROW.items()}
_HALF: Final = re.compile(r"bytes:((?:\\x[0-9a-f]{2})+)")
_MOST: Final = 1e9
"""No log-probability is so large; sums of smaller ones are finite."""


class Scores:
    """The entries of one text. Text and entries may come in pieces, and in any measure: what goes
    out are the entries of all that is settled, in order."""

    __slots__ = (
        "_covered", "_group", "_lost", "_ready", "_shift", "_spans", "_start", "_stop", "_text",
        "_waiting",
    )  # fmt: skip

    def __init__(self, *, lost: bool = False) -> None:
        self._lost = lost  # from here on, entries are not those of the text
        self._text = bytearray()  # what is settled, from the first byte of the group on
        self._start = self._stop = 0  # of the group, in bytes
        self._group: list[dict[str, Any]] = []  # entries over surrogates that are not all there
        self._covered: list[Found] = []  # the surrogates, in bytes, that the group has a part of
        self._spans: deque[Found] = deque()  # those after them
        self._waiting: deque[tuple[JSON, bytes | None]] = deque()
        self._ready: list[JSON] = []
        self._shift = 0  # how many characters more were shown than came

    def __repr__(self) -> str:
        return f"Scores({len(self._group) + len(self._waiting)} entries held)"

    def add(self, entries: Iterable[JSON]) -> None:
        """The next entries."""
        if self._lost:
            self._ready += entries
            return
        self._waiting += [(entry, _spelled(entry)) for entry in entries]
        self._match()

    def settle(self, text: str, found: Iterable[Found]) -> None:
        """More of the text, as it came, and the surrogates in it; none is cut."""
        if self._lost:
            return
        at = 0
        try:
            for begin, end, value in found:
                self._text += text[at:begin].encode()
                start = self._start + len(self._text)
                self._text += text[begin:end].encode()
                self._spans.append((start, self._start + len(self._text), value))
                at = end
            self._text += text[at:].encode()
        except UnicodeEncodeError:  # half of a UTF-16 pair, which no token spells
            self._lose()
        self._match()

    def take(self) -> list[JSON]:
        """The entries that may go out now."""
        ready, self._ready = self._ready, []
        return ready

    def rest(self) -> list[JSON]:
        """All that are left; the text is over."""
        self._lose()
        return self.take()

    def _lose(self) -> None:
        self._lost = True
        self._ready += [*self._group, *(entry for entry, _ in self._waiting)]
        self._text.clear()
        for each in (self._group, self._waiting, self._covered, self._spans):
            each.clear()

    def _match(self) -> None:
        """Hold what entries spell against the text, as far as it is there."""
        while self._waiting:
            entry, spelled = self._waiting[0]
            at = self._stop - self._start
            said = bytes(self._text[at : at + len(spelled or b"")])
            if spelled is None or not isinstance(entry, dict) or not spelled.startswith(said):
                self._lose()
                break
            if len(said) < len(spelled):
                break  # its text is not there yet
            self._waiting.popleft()
            self._group.append(entry)
            self._stop += len(spelled)
            while self._spans and self._spans[0][0] < self._stop:
                self._covered.append(self._spans.popleft())
            if not self._covered or self._covered[-1][1] <= self._stop:
                self._end_group()

    def _end_group(self) -> None:
        """The group covers its surrogates wholly. One without any is a single entry."""
        entry = self._group[0]
        offset = entry.get("text_offset")
        if self._shift and isinstance(offset, int):
            entry = {**entry, "text_offset": offset + self._shift}
        if self._covered:
            raw = bytes(self._text[: self._stop - self._start])
            parts, at = [], 0
            for begin, end, value in self._covered:
                parts += [raw[at : begin - self._start], value.encode()]
                at = end - self._start
            shown = b"".join([*parts, raw[at:]])
            entry = _joint([entry, *self._group[1:]], shown)
            self._shift += len(_letters(shown)) - len(_letters(raw))
        self._ready.append(entry)
        del self._text[: self._stop - self._start]
        self._start = self._stop
        self._group.clear()
        self._covered.clear()


def restored(holder: Mapping[str, JSON], find: Callable[[str], Iterable[Found]]) -> JSON:
    """The ``logprobs`` of a whole choice, or part of a message, that has its text beside them. None
    if they are in no form that is known."""
    message = holder.get("message")
    texts = message if isinstance(message, dict) else holder
    new: dict[str, Any] = {"logprobs": holder["logprobs"]}
    known = False
    for field in ("content", "refusal", "text"):
        entries = read(new, field)
        if not entries or not isinstance(entries[0], dict) or "token" not in entries[0]:
            continue
        known = True
        text = texts.get(field)
        if isinstance(text, str) and (found := list(find(text))):
            scores = Scores()
            scores.add(entries)
            scores.settle(text, found)
            write(new, field, scores.rest())
    return new["logprobs"] if known else None


def given(event: Mapping[str, Any]) -> bool:
    """Whether a streamed event has log-probabilities."""
    choices = event.get("choices")
    for choice in choices if isinstance(choices, list) else (event,):
        if isinstance(choice, dict) and choice.get("logprobs"):
            return True
    return False


def read(holder: Mapping[str, Any], field: str) -> list[Any] | None:
    """The entries of the text ``field``: a list (OpenAI's responses), a list of its own for each
    text (chat), or columns (completions). None if this is in no form that is known."""
    said = holder.get("logprobs")
    if not said:
        return []
    if isinstance(said, list):
        return said if field in ("text", "delta") else None
    if not isinstance(said, dict):
        return None
    if "tokens" in said:
        return _rows(said) if field in ("text", "content") else []
    entries = said.get(field)
    return entries if isinstance(entries, list) else [] if entries is None else None


def write(holder: dict[str, Any], field: str, entries: list[Any]) -> None:
    """Puts ``entries`` where :func:`read` finds them. Nothing but ``holder`` itself is changed."""
    said = holder.get("logprobs")
    if isinstance(said, list) or field == "delta":
        holder["logprobs"] = entries
        return
    said = said if isinstance(said, dict) else {}
    if "tokens" in said or field == "text":
        columns = {name for name, column in said.items() if isinstance(column, list)}
        columns.update(_COLUMN.get(name, name) for entry in entries for name in entry)
        told = {name: [e.get(_ROW.get(name, name)) for e in entries] for name in sorted(columns)}
        holder["logprobs"] = {**said, **told}
    else:
        said = said or {"content": None, "refusal": None}
        holder["logprobs"] = {**said, field: entries}


def _rows(said: Mapping[str, Any]) -> list[Any] | None:
    columns = {name: column for name, column in said.items() if isinstance(column, list)}
    if "tokens" not in columns or len({len(column) for column in columns.values()}) != 1:
        return None
    names = [_ROW.get(name, name) for name in columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _spelled(entry: JSON) -> bytes | None:
    """The bytes that one entry stands for; None if it is in no form that is known."""
    if not isinstance(entry, dict) or not isinstance(entry.get("token"), str):
        return None
    score, raw = entry.get("logprob"), entry.get("bytes")
    if score is not None and not (
        isinstance(score, int | float) and not isinstance(score, bool) and abs(score) < _MOST
    ):
        return None
    try:
        if isinstance(raw, list):
            return bytes(raw)
        half = _HALF.fullmatch(entry["token"])
        if half is not None:
            return bytes.fromhex(half[1].replace("\\x", ""))
        return None if raw is not None else str(entry["token"]).encode()
    except (TypeError, ValueError):
        return None


def _joint(group: list[dict[str, Any]], shown: bytes) -> dict[str, Any]:
    """One entry for all of ``group``. What else an entry told was of a piece of a surrogate."""
    scores = [e["logprob"] for e in group if e.get("logprob") is not None]
    others = group[0].get("top_logprobs")
    entry = {
        "token": _letters(shown),
        "logprob": math.fsum(scores) if len(scores) == len(group) else None,
        "bytes": list(shown) if any(e.get("bytes") is not None for e in group) else None,
        "top_logprobs": type(others)() if isinstance(others, list | dict) else None,
        "text_offset": group[0].get("text_offset"),
    }
    return {name: value for name, value in entry.items() if any(name in e for e in group)}


def _letters(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
