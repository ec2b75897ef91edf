"""A token classifier as ONNX (such as Rampart's): a folder with ``tokenizer.json``,
``config.json`` and one ``.onnx`` file. Long texts are read in overlapping windows, never cut."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sovereign.errors import ConfigError, MissingExtra
from sovereign.types import Finding

__all__ = ["OnnxRecognizer"]

ENTITIES: Mapping[str, str] = {
    "PER": "PERSON", "PERSON": "PERSON", "NAME": "PERSON", "GIVEN_NAME": "PERSON",
    "GIVENNAME": "PERSON", "SURNAME": "PERSON", "FIRST_NAME": "PERSON", "LAST_NAME": "PERSON",
    "EMAIL": "EMAIL_ADDRESS", "PHONE": "PHONE_NUMBER", "TELEPHONENUM": "PHONE_NUMBER",
    "ADDRESS": "STREET_ADDRESS", "STREET": "STREET_ADDRESS", "STREET_NAME": "STREET_ADDRESS",
    "BUILDING_NUMBER": "STREET_ADDRESS", "SECONDARY_ADDRESS": "STREET_ADDRESS",
    "CITY": "LOCATION", "STATE": "LOCATION", "LOC": "LOCATION", "GPE": "LOCATION",
    "ORG": "ORGANIZATION", "USERNAME": "USERNAME", "PASSWORD": "SECRET", "URL": "URL",
    "ZIP_CODE": "LOCATION", "DATE": "DATE_TIME",
}  # fmt: skip
"""Labels that models use, and the entities that findings carry; any other is an IDENTIFIER."""

_WINDOW, _STRIDE = 510, 128
"""Tokens of one reading, without the marks at its ends, and how many two readings share."""


class OnnxRecognizer:
    """One thread of onnxruntime; safe for threads. Opens no socket."""

    by_words = True

    def __init__(self, folder: Path, *, least: float = 0.5) -> None:
        """``least``: below this probability a token counts as nothing. Raises :class:`ConfigError`
        or :class:`MissingExtra`."""
        try:
            runtime = importlib.import_module("onnxruntime")
            tokenizers = importlib.import_module("tokenizers")
        except ModuleNotFoundError:
            raise MissingExtra("onnxruntime", "onnx") from None
        files = sorted(folder.rglob("*.onnx"))
        try:
            if len(files) != 1:
                raise ConfigError(f"{folder}: {len(files)} .onnx files, where one should be")
            raw = files[0].read_bytes()
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            labels = config["id2label"]
            self._labels = [str(labels[str(i)]) for i in range(len(labels))]
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        except (OSError, KeyError, ValueError) as e:
            raise ConfigError(f"{folder}: no token classifier ({type(e).__name__})") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: Any = runtime.InferenceSession(
            raw, options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {i.name for i in self._session.get_inputs()}
        self._least = least
        self.name = "onnx"
        self.build = hashlib.sha256(raw + json.dumps(self._labels).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"OnnxRecognizer({self.build[:12]})"

    def recognize(self, text: str) -> Sequence[Finding]:
        """Neighbouring tokens of one entity, as one finding."""
        found: list[Finding] = []
        for start, end, label, score in self._tokens(text):
            entity = ENTITIES.get(label.upper(), "IDENTIFIER")
            last = found[-1] if found else None
            if last and last.entity == entity and not text[last.end : start].strip(" .-'"):
                best = max(last.score, score)
                found[-1] = Finding((), last.start, end, entity, best, self.name)
            else:
                found.append(Finding((), start, end, entity, score, self.name))
        return found

    def _tokens(self, text: str) -> Iterator[tuple[int, int, str, float]]:
        read = self._tokenizer.encode(text, add_special_tokens=False)
        first = self._tokenizer.token_to_id("[CLS]")
        last = self._tokenizer.token_to_id("[SEP]")
        marks = [i for i in (first,) if i is not None], [i for i in (last,) if i is not None]
        done = 0
        for begin in range(0, max(1, len(read.ids)), _WINDOW - _STRIDE):
            ids = read.ids[begin : begin + _WINDOW]
            if not ids:
                return
            p = self._probabilities([*marks[0], *ids, *marks[1]])[len(marks[0]) :]
            # Of what two windows read, the first half is the earlier one's.
            stop = begin + len(ids)
            final = stop >= len(read.ids)
            keep = stop if final else stop - _STRIDE // 2
            for i in range(max(done, begin), keep):
                row = p[i - begin]
                best = int(row.argmax())
                label = self._labels[best]
                start, end = read.offsets[i]
                if label != "O" and row[best] >= self._least and start < end:
                    yield start, end, label.partition("-")[2] or label, round(float(row[best]), 3)
            done = keep
            if final:
                return

    def _probabilities(self, ids: list[int]) -> np.ndarray[Any, Any]:
        given = np.array([ids], np.int64)
        feed = {"input_ids": given, "attention_mask": np.ones_like(given)}
        if "token_type_ids" in self._inputs:
            feed["token_type_ids"] = np.zeros_like(given)
        logits = self._session.run(None, feed)[0][0]
        e = np.exp(logits - logits.max(axis=1, keepdims=True))
        made: np.ndarray[Any, Any] = e / e.sum(axis=1, keepdims=True)
        return made
