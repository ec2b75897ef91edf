"""What cannot be read, and what follows from it; long encoded stretches that are no text, too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sovereign.entities import UNREADABLE
from sovereign.errors import Unreadable
from sovereign.guard import decode
from sovereign.guard.body import Leaf
from sovereign.guard.glance import SPACE, classes
from sovereign.guard.opaque import Seen
from sovereign.guard.scan import Hit
from sovereign.policy import Policy
from sovereign.types import Action, Destination, Verdict

__all__ = ["blobs", "judge", "keep_inside"]

_WORDS = classes((range(256), b"x"), (SPACE, b" "))
_LONG = b"x" * 160
_BLOB = re.compile(r"(?:[A-Za-z0-9+/_-]{76}\r?\n)*[A-Za-z0-9+/_-]{160,}={0,2}|[0-9A-Fa-f]{160,}")


def blobs(leaves: Sequence[Leaf], hits: Sequence[Hit]) -> list[str]:
    """Long encoded stretches that nothing was found in, since they are not text underneath."""
    if not _long(" ".join([leaf.text for leaf in leaves])):
        return []  # as mostly
    covered: dict[int, list[tuple[int, int]]] = {}
    for hit in hits:
        covered.setdefault(hit.leaf, []).append((hit.finding.start, hit.finding.end))
    seen = []
    for index, leaf in enumerate(leaves):
        if not _long(leaf.text):
            continue  # the search itself is slow
        for match in _BLOB.finditer(leaf.text):
            start, end = match.span()
            inside = any(s < end and start < e for s, e in covered.get(index, ()))
            if not inside and _sealed(match.group()):
                seen.append("an encoded blob")
                break
    return seen


def _long(text: str) -> bool:
    """Whether something of the length of a blob stands in ``text`` without a space."""
    return _LONG in text.encode("latin-1", "replace").translate(_WORDS)


def _sealed(run: str) -> bool:
    """Whether a long run of base64 or hex letters is not text when decoded."""
    if len(set(run)) < 10:  # a ruler of dashes, a row of zeros
        return False
    plain = run.replace("\r", "").replace("\n", "")
    return decode.unhex(plain) is None and decode.unbase64(plain) is None


def judge(verdict: Verdict, unread: Sequence[str], policy: Policy, to: Destination) -> Verdict:
    """``verdict`` made stricter by what cannot be read. Raises :class:`Unreadable` where the policy
    refuses it. Inside, nothing leaves, so nothing needs to be read."""
    if not unread or to.side == "local":
        return verdict
    if policy.unreadable == "block":
        kinds = ", ".join(dict.fromkeys(unread))
        raise Unreadable(
            f"the request holds {kinds}; what cannot be read, or not be changed, is not sent",
            hint='unreadable = "local" in the policy lets a model inside answer it',
        )
    return replace(
        verdict,
        action=max(verdict.action, Action.LOCAL),
        entities={**verdict.entities, UNREADABLE: {"local": len(unread)}},
    )


def keep_inside(seen: Seen) -> None:
    """What even a model inside may not be asked: to fetch from a host that nobody listed, or to use
    what somebody else left there. Raises :class:`Unreadable`."""
    if seen.remote:
        raise Unreadable(
            "the request makes the model fetch from a host that is not listed",
            hint="url_hosts under [documents] in sovereign.toml lists them",
        )
    if seen.foreign:
        raise Unreadable(
            "the request names something that this team did not leave at the model inside",
            hint="send the whole conversation, and files in the request itself",
        )
