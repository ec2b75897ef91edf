"""Text in pictures: lines with the places of their words. Runs in the reading process only.

rapidocr carries its models in its wheel and is never let download one; Tesseract is Debian's
program, given the picture over a pipe, so that nothing is written to a disk.
"""

from __future__ import annotations

import io
import os
import subprocess
from dataclasses import dataclass
from typing import Any, Protocol

from sovereign.errors import ConfigError, MissingExtra

__all__ = ["Box", "Engine", "Line", "engine"]

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text. ``words`` are ``(start, end, box)`` in it; they cover all its letters."""

    text: str
    words: tuple[tuple[int, int, Box], ...]

    def __repr__(self) -> str:
        return f"Line({len(self.text)} characters)"


class Engine(Protocol):
    """Reads one RGB picture (:class:`PIL.Image.Image`), top to bottom."""

    name: str
    build: str

    def lines(self, picture: Any) -> list[Line]: ...


def engine(name: str) -> Engine:
    """``rapidocr`` or ``tesseract``. Raises :class:`MissingExtra` or :class:`ConfigError`."""
    if name == "rapidocr":
        return RapidOcr()
    if name == "tesseract":
        return Tesseract()
    raise ConfigError("an OCR engine is rapidocr or tesseract")


class RapidOcr:
    """PP-OCR on onnxruntime, from the files in rapidocr's own wheel."""

    name = "rapidocr"

    def __init__(self) -> None:
        try:
            import logging
            from importlib.metadata import version

            import onnxruntime  # noqa: F401 - rapidocr's error without it speaks of something else
            import rapidocr
        except ImportError:
            raise MissingExtra("rapidocr", "documents") from None
        threads = int(os.environ.get("OMP_NUM_THREADS") or 1)
        self._ocr = rapidocr.RapidOCR(
            params={
                "Global.log_level": "critical",
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            }
        )
        logging.getLogger("RapidOCR").disabled = True
        self.build = version("rapidocr")

    def lines(self, picture: Any) -> list[Line]:
        import numpy as np

        # It takes arrays as OpenCV has them: blue first.
        found = self._ocr(np.asarray(picture)[:, :, ::-1], return_word_box=True)
        texts = found.txts or ()
        boxes = found.boxes if found.boxes is not None else ()
        words = found.word_results or ((),) * len(texts)
        lines = [
            (
                _around(box),
                _line(text, _around(box), [(w[0], _around(w[2])) for w in parts if w[0]]),
            )
            for text, box, parts in zip(texts, boxes, words, strict=False)
        ]
        return rows(lines)


class Tesseract:
    """Debian's ``tesseract-ocr``."""

    name = "tesseract"

    def __init__(self) -> None:
        try:
            said = subprocess.run(["tesseract", "--version"], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            raise ConfigError(
                "tesseract is not installed", hint="apt-get install tesseract-ocr"
            ) from None
        self.build = said.stdout.decode().split("\n")[0].removeprefix("tesseract ")

    def lines(self, picture: Any) -> list[Line]:
        raw = io.BytesIO()
        picture.save(raw, "BMP")
        said = subprocess.run(
            ["tesseract", "-", "-", "--psm", "3", "tsv"],
            input=raw.getvalue(),
            capture_output=True,
            check=True,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        ).stdout.decode("utf-8", "replace")
        rows: dict[tuple[str, ...], list[tuple[str, Box]]] = {}
        for row in said.splitlines()[1:]:
            cells = row.split("\t")
            if len(cells) == 12 and cells[11].strip():
                x, y, w, h = (int(c) for c in cells[6:10])
                rows.setdefault(tuple(cells[1:5]), []).append((cells[11], (x, y, x + w, y + h)))
        return [
            _line(" ".join(w for w, _ in words), _union([b for _, b in words]), words)
            for words in rows.values()
        ]


def rows(found: list[tuple[Box, Line]]) -> list[Line]:
    """What stands side by side as one line: the detector cuts wide gaps, and large type word by
    word, and a name that is cut in two is no name."""
    lines: list[list[tuple[Box, Line]]] = []
    for box, line in sorted(found, key=lambda b: (b[0][1] + b[0][3], b[0][0])):
        for row in reversed(lines[-8:]):
            if all(_beside(box, other) for other, _ in row):
                row.append((box, line))
                break
        else:
            lines.append([(box, line)])
    return [_joined([line for _, line in sorted(row, key=lambda b: b[0][0])]) for row in lines]


def _beside(a: Box, b: Box) -> bool:
    """Whether two boxes share most of their height, and none of their width."""
    shared = min(a[3], b[3]) - max(a[1], b[1])
    low = min(a[3] - a[1], b[3] - b[1])
    apart = max(a[0], b[0]) - min(a[2], b[2])
    return shared > 0.5 * low and apart > -low // 2


def _joined(lines: list[Line]) -> Line:
    text, words = "", []
    for line in lines:
        text += " " if text else ""
        words += [(start + len(text), end + len(text), box) for start, end, box in line.words]
        text += line.text
    return Line(text, tuple(words))


def _line(text: str, whole: Box, words: list[tuple[str, Box]]) -> Line:
    """Words found in ``text`` in order; if they do not cover it, the line is one word: then all of
    it is blacked out, rather than too little."""
    placed: list[tuple[int, int, Box]] = []
    at = 0
    for word, box in words:
        start = text.find(word, at)
        if start < 0:
            return Line(text, ((0, len(text), whole),))
        at = start + len(word)
        placed.append((start, at, box))
    covered = sum(sum(not c.isspace() for c in text[s:e]) for s, e, _ in placed)
    if covered < sum(not c.isspace() for c in text):
        return Line(text, ((0, len(text), whole),))
    return Line(text, tuple(placed))


def _around(corners: Any) -> Box:
    xs, ys = [float(p[0]) for p in corners], [float(p[1]) for p in corners]
    return int(min(xs)), int(min(ys)), int(max(xs)) + 1, int(max(ys)) + 1


def _union(boxes: list[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)
