"""The network: rows of hashed features in, label probabilities out. Numpy, no state but weights.

A token's rows are summed, projected and normalised on their own: this part is cached per word. Four
residual convolutions see 15 tokens to each side.
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
from sovereign.guard.recognizers.tagger.room import ALONE, DILATIONS, room_for
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
REACH: Final = sum(DILATIONS)
"""How many tokens to each side can change a token's probabilities."""

NAME: Final = np.uint16(0b1111)
"""The gazetteer bits of given and family names; they hold for an inflected form, too."""

COMMON_WORD: Final = np.uint16(1 << 10)
"""The bit of words that running text writes small."""

Floats = NDArray[np.float32]

_SUM: Final = np.ones((len(LABELS), len(LABELS)), np.float32)
"""Multiplied with it, each column of a row is the row's sum: in half the time of a reduction."""

_SURE: Final = np.float32(80)
"""The logarithm of odds beyond which they are the same, lest they overflow."""


@dataclass(frozen=True, slots=True)
class Net:
    """Weights, as they lie in the file, and the arithmetic over them."""

    rows: NDArray[np.int8]
    scale: Floats
    keys: NDArray[np.uint32]
    masks: NDArray[np.uint16]
    project: Floats
    norm_bias: Floats
    convs: tuple[Floats, ...]
    out: Floats
    out_bias: Floats
    meta: Mapping[str, Any]
    digest: str

    @property
    def width(self) -> int:
        """Channels."""
        return len(self.norm_bias)

    def member(self, folded: Sequence[str]) -> NDArray[np.uint16]:
        """Gazetteer bits of folded words."""
        prints = np.array([fingerprint(word) for word in folded], np.uint32)
        at = self.keys.searchsorted(prints)
        at[at == len(self.keys)] = 0
        found: NDArray[np.uint16] = self.masks[at] * (self.keys[at] == prints)
        return found

    def embed(self, tokens: Sequence[str], out: Floats | None = None) -> Floats:
        """What each token is, alone: (tokens, :attr:`width`), in ``out`` if that is given."""
        if out is None:
            out = np.empty((len(tokens), self.width), np.float32)
        some = ALONE // self.project.size
        for i in range(0, len(tokens), some):
            self._embed(tokens[i : i + some], out[i : i + some])
        return out

    def _embed(self, tokens: Sequence[str], out: Floats) -> None:
        members = self._members(tokens)
        ids: list[int] = []
        bounds = [0]
        for i, token in enumerate(tokens):
            ids += features(token, *members.get(i, (0, 0)))
            bounds.append(len(ids))
        at = np.array(ids)
        rows, scale = self.rows.take(at, axis=0), self.scale.take(at)
        summed = np.empty((len(tokens), len(self.project)), np.float32)
        summed[:, -1] = 1
        for one, start, end in zip(summed, bounds, bounds[1:], strict=False):
            scale[start:end].dot(rows[start:end], out=one[:-1])
        # LayerNorm: what it subtracts, and what it multiplies with, is in the weights already.
        both = summed @ self.project
        h, bare = both[:, : self.width], both[:, self.width :]
        h /= np.sqrt(np.add.reduce(bare * bare, axis=1, keepdims=True))
        h += self.norm_bias
        np.maximum(h, 0, out=out)

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
        """Label probabilities, (tokens, labels), for embedded tokens with nothing around them: 800
        of them at most."""
        n = len(x)
        room = room_for(n, self.width)
        tokens, more = room.tokens[:n], room.flat[:n]
        tokens[:] = x
        room.tokens[n:] = 0
        seen, made, taps, nothing = room.seen, room.made, room.taps, room.nothing[:n]
        for weight, look in zip(self.convs, room.looks, strict=True):
            taps[:] = look
            np.matmul(seen, weight, out=made)
            np.maximum(more, nothing, out=more)
            tokens += more
        odds: Floats = tokens @ self.out
        odds += self.out_bias
        np.minimum(odds, _SURE, out=odds)
        np.exp(odds, out=odds)
        odds /= odds @ _SUM
        return odds


def load(name: str, digest: str) -> Net:
    """The model ``name`` of the package's data. :class:`ConfigError` if its SHA-256 is not
    ``digest``."""
    raw = resources.files("sovereign.guard.recognizers").joinpath("data", name).read_bytes()
    return parse(raw, digest)


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
    # The mean over the channels that LayerNorm takes away is nothing then. A token's channels stand
    # twice: times what LayerNorm multiplies with, and bare, for their squares, beside a constant
    # whose square keeps their sum from being nothing. The last row is the bias.
    bare = np.concatenate((wide["project"], wide["project_bias"][None]))
    bare -= bare.mean(axis=1, keepdims=True)
    width = bare.shape[1]
    norm = wide["norm"] * np.sqrt(np.float32(width))
    least = np.zeros((len(bare), 1), np.float32)
    least[-1] = np.sqrt(1e-5 * width)
    # Odds are those against nothing, so that its own are one.
    out, out_bias = (wide[key] - wide[key][..., :1] for key in ("out", "out_bias"))
    convs = [(wide[f"conv{i}"], wide[f"conv{i}_bias"]) for i in range(len(DILATIONS))]
    return Net(
        rows=a["rows"],
        scale=wide["scale"],
        keys=a["keys"],
        masks=a["masks"],
        project=np.concatenate((bare * norm, bare, least), axis=1),
        norm_bias=wide["norm_bias"],
        convs=tuple(np.concatenate((weight, bias[None])) for weight, bias in convs),
        out=out,
        out_bias=out_bias,
        meta=meta,
        digest=found,
    )
