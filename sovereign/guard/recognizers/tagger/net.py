"""The network: rows of hashed features in, label probabilities out. Numpy, no state but weights.

A token's rows are summed, projected and normalised on their own, and so is what it adds to the
first convolution at each of its three places: this part is cached per word. Four residual
convolutions see 15 tokens to each side.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sovereign.errors import ConfigError
from sovereign.guard.recognizers.tagger.tokens import (
    features,
    fingerprint,
    fold,
    is_word,
    stems,
)

__all__ = ["COMMON_WORD", "DILATIONS", "LABELS", "NAME", "REACH", "Net", "load"]

LABELS: Final = (
    "O", "PERSON", "ADDRESS", "USERNAME", "ID", "SECRET", "PHONE", "EMAIL", "ORG", "LOC",
)  # fmt: skip
DILATIONS: Final = (1, 2, 4, 8)
REACH: Final = sum(DILATIONS)
"""How many tokens to each side can change a token's probabilities."""

NAME: Final = np.uint16(0b1111)
"""The gazetteer bits of given and family names; they hold for an inflected form, too."""

COMMON_WORD: Final = np.uint16(1 << 10)
"""The bit of words that running text writes small."""

Floats = NDArray[np.float32]

_EDGE: Final = max(DILATIONS)
_BLOCK: Final = 64
"""Rows of one multiplication by 64 x 64."""

ALONE: Final = (1 << 19) - 1
"""Multiplications of one product for which OpenBLAS takes one thread; with more, idle threads spin
and cost ten times the CPU time that the work takes."""


def _times(x: Floats, weight: Floats) -> Floats:
    """``x @ weight``, a block of rows at a time."""
    block = ALONE // weight.size
    if len(x) <= block:
        return x @ weight
    return np.concatenate([x[i : i + block] @ weight for i in range(0, len(x), block)])


@dataclass(frozen=True, slots=True)
class Net:
    """Weights, as they lie in the file, and the arithmetic over them."""

    rows: NDArray[np.int8]
    scale: Floats
    keys: NDArray[np.uint32]
    masks: NDArray[np.uint16]
    project: Floats
    project_bias: Floats
    norm: Floats
    norm_bias: Floats
    first: Floats
    first_bias: Floats
    taps: tuple[tuple[Floats, Floats, Floats], ...]
    conv_biases: tuple[Floats, ...]
    out: Floats
    out_bias: Floats
    meta: Mapping[str, Any]
    digest: str

    @property
    def width(self) -> int:
        """Channels."""
        return int(self.project.shape[1])

    @property
    def embedded(self) -> int:
        """Columns of an embedded token: its channels, and what the first convolution makes of it
        for the token after it, for itself and for the token before it."""
        return self.width + int(self.first.shape[1])

    def member(self, folded: Sequence[str]) -> NDArray[np.uint16]:
        """Gazetteer bits of folded words."""
        prints = np.array([fingerprint(word) for word in folded], np.uint32)
        at = self.keys.searchsorted(prints)
        at[at == len(self.keys)] = 0
        found: NDArray[np.uint16] = self.masks[at] * (self.keys[at] == prints)
        return found

    def embed(self, tokens: Sequence[str]) -> Floats:
        """What each token is, alone: (tokens, :attr:`embedded`)."""
        if not tokens:
            return np.zeros((0, self.embedded), np.float32)
        members = self._members(tokens)
        ids: list[int] = []
        firsts: list[int] = []
        for i, token in enumerate(tokens):
            firsts.append(len(ids))
            ids += features(token, *members.get(i, (0, 0)))
        at = np.array(ids)
        summed: Floats = np.add.reduceat(self.rows[at] * self.scale[at], firsts, axis=0)
        # LayerNorm: what it subtracts, and what it multiplies with, is in the weights already.
        h = _times(summed, self.project)
        h += self.project_bias
        h /= np.sqrt(np.add.reduce(h * h, axis=1, keepdims=True) + np.float32(1e-5 * self.width))
        h *= self.norm
        h += self.norm_bias
        np.maximum(h, 0, out=h)
        return np.concatenate((h, _times(h, self.first) + self.first_bias), axis=1)

    def _members(self, tokens: Sequence[str]) -> dict[int, tuple[int, int]]:
        """Gazetteer bits of the words among ``tokens``, and the name bits of their stems."""
        words = {i: fold(t.lstrip(" ")) for i, t in enumerate(tokens) if is_word(t)}
        if not words:
            return {}
        asked = list(words.values())
        stemmed = [stems(word) for word in asked]
        bits = self.member([*asked, *chain.from_iterable(stemmed)]).tolist()
        found, rest = {}, len(asked)
        for i, own, shorter in zip(words, bits, stemmed, strict=False):
            stem = 0
            for bit in bits[rest : rest + len(shorter)]:
                stem |= bit & int(NAME)
            rest += len(shorter)
            found[i] = (own, stem)
        return found

    def probabilities(self, x: Floats) -> Floats:
        """Label probabilities, (tokens, labels), for embedded tokens with nothing around them."""
        n, width = len(x), self.width
        count = -(-n // _BLOCK)
        size = -(-n // count)
        full = count * size
        # Rows of nothing before and after, so that what stands at a distance is a look at x.
        room = np.zeros((_EDGE + full + _EDGE, width), np.float32)
        inner, shape = room[_EDGE : _EDGE + full], (count, size, width)
        h = np.empty(shape, np.float32)
        part = np.empty(shape, np.float32)
        flat = h.reshape(full, width)
        middle = inner.reshape(shape)
        start = flat[:n]
        start[:] = x[:, 2 * width : 3 * width]
        start[1:] += x[:-1, width : 2 * width]
        start[:-1] += x[1:, 3 * width :]
        np.maximum(start, 0, out=start)
        np.add(x[:, :width], start, out=inner[:n])
        for (before, here, after), bias, d in zip(
            self.taps, self.conv_biases, DILATIONS[1:], strict=True
        ):
            np.matmul(room[_EDGE - d : _EDGE - d + full].reshape(shape), before, out=h)
            h += np.matmul(middle, here, out=part)
            h += np.matmul(room[_EDGE + d : _EDGE + d + full].reshape(shape), after, out=part)
            h += bias
            np.maximum(h, 0, out=h)
            if full > n:
                flat[n:] = 0
            inner += flat
        logits: Floats = (middle @ self.out).reshape(full, -1)[:n]
        logits += self.out_bias
        logits -= np.maximum.reduce(logits, axis=1, keepdims=True)
        np.exp(logits, out=logits)
        logits /= np.add.reduce(logits, axis=1, keepdims=True)
        return logits


def load(name: str, digest: str) -> Net:
    """The model ``name`` of the package's data. :class:`ConfigError` if its SHA-256 is not
    ``digest``."""
    raw = resources.files("sovereign.guard.recognizers").joinpath("data", name).read_bytes()
    return parse(raw, digest)


def _taps(conv: Floats) -> tuple[Floats, Floats, Floats]:
    """A convolution's weights for the token before, the token itself and the one after."""
    before, here, after = (np.ascontiguousarray(part) for part in np.split(conv, 3))
    return before, here, after


def parse(raw: bytes, digest: str | None = None) -> Net:
    """A model from the bytes of its file."""
    found = hashlib.sha256(raw).hexdigest()
    if digest is not None and found != digest:
        raise ConfigError(
            "the tagger's model file is not the one this version was released with",
            hint="reinstall sovereign-toolkit, or run scripts/train_tagger.py",
        )
    with np.load(io.BytesIO(raw), allow_pickle=False) as file:
        a = {key: file[key] for key in file.files}
    meta = json.loads(a["meta"].tobytes())
    wide = {k: v.astype(np.float32) for k, v in a.items() if v.dtype == np.float16}
    # The mean over the channels that LayerNorm takes away is nothing then.
    project, bias = (
        wide[key] - wide[key].mean(axis=-1, keepdims=True) for key in ("project", "project_bias")
    )
    convs = [(_taps(wide[f"conv{i}"]), wide[f"conv{i}_bias"]) for i in range(len(DILATIONS))]
    return Net(
        rows=a["rows"],
        scale=wide["scale"][:, None],
        keys=a["keys"],
        masks=a["masks"],
        project=project,
        project_bias=bias,
        norm=wide["norm"] * np.sqrt(np.float32(project.shape[1])),
        norm_bias=wide["norm_bias"],
        first=np.concatenate(convs[0][0], axis=1),
        first_bias=np.pad(convs[0][1], (project.shape[1], project.shape[1])),
        taps=tuple(taps for taps, _ in convs[1:]),
        conv_biases=tuple(bias for _, bias in convs[1:]),
        out=wide["out"],
        out_bias=wide["out_bias"],
        meta=meta,
        digest=found,
    )
