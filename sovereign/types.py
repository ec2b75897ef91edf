"""The words that every room shares: findings, actions, verdicts, destinations, and the protocols.

Nothing here holds, prints or compares text that a user sent.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

__all__ = [
    "JSON",
    "Action",
    "Clock",
    "Destination",
    "Finding",
    "Path",
    "Receipt",
    "Recognizer",
    "Side",
    "Sink",
    "Verdict",
]

JSON = Any
"""A JSON value: None, bool, int, float, str, list or dict. Bodies stay plain, so that fields nobody
has heard of survive."""

Path = tuple[str | int, ...]
"""Where a leaf is: keys and indices from the root, as in ``("messages", 0, "content")``. A leaf
that is itself a key ends in the marker :data:`sovereign.guard.body.KEY`."""

Side = Literal["hosted", "local"]


class Action(enum.IntEnum):
    """What happens to a finding, and to the request that holds it. The greater is the stricter."""

    ALLOW = 0
    MASK = 1
    PSEUDONYMIZE = 2
    LOCAL = 3
    BLOCK = 4

    @property
    def verb(self) -> str:
        """The word that configuration files, reports and the log use."""
        return _VERBS[self]

    @classmethod
    def from_verb(cls, verb: str) -> Action:
        """The action for ``verb``; :class:`KeyError` if there is none."""
        return _BY_VERB[verb]


_VERBS = tuple(action.name.lower() for action in Action)
_BY_VERB = dict(zip(_VERBS, Action, strict=True))


class Finding(NamedTuple):
    """Something sensitive in one leaf. Offsets are code points of the *original* leaf text.

    ``view`` names the reading in which it was seen: ``"text"``, ``"nfkc"``, ``"base64"``, ….
    ``score`` is in [0, 1]. The value itself is not here: whoever may see it has the leaf.
    """

    path: Path
    start: int
    end: int
    entity: str
    score: float
    recognizer: str
    view: str = "text"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request may go: a hosted API, or a model that the team runs itself."""

    name: str
    side: Side


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the policy makes of the findings at one destination.

    ``actions`` runs beside the findings that were decided on; ``entities`` counts them by entity
    and verb, and is what the log records.
    """

    action: Action
    destination: Destination
    policy: str
    actions: tuple[Action, ...] = ()
    entities: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A record's place, given after it is durable: its index in which log of the chain. ``leaf`` is
    its RFC 6962 leaf hash (32 bytes)."""

    index: int
    leaf: bytes
    log: int = 1

    def __str__(self) -> str:
        """As commands take it: ``4711``, and ``2/4711`` in the second log."""
        return str(self.index) if self.log == 1 else f"{self.log}/{self.index}"


class Clock(Protocol):
    """Seconds since the Unix epoch, UTC."""

    def __call__(self) -> float: ...


class Recognizer(Protocol):
    """Finds sensitive spans in one text.

    ``name`` and ``build`` identify it in findings and in the recogniser build digest. ``recognize``
    gets one text and returns findings with ``path=()``; the guard sets the path. It may raise:
    the guard then refuses the request. One that judges by the words around a span, as a tagger
    does, says ``by_words = True``: it is not believed about bare numbers and joined leaves. One
    whose time is short, and bounded by the text's length, says ``quick = True``: if all of them
    are, short texts are read without a thread of their own.
    """

    @property
    def name(self) -> str: ...

    @property
    def build(self) -> str: ...

    def recognize(self, text: str) -> Sequence[Finding]: ...


class Sink(Protocol):
    """Takes audit records. The future resolves once the record is durable, or raises
    :class:`sovereign.errors.LogUnavailable` or :class:`sovereign.errors.RecordRejected`."""

    def submit(self, record: Mapping[str, JSON]) -> Future[Receipt]: ...
