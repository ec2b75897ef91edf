"""What cannot be read: images, audio, files, data URIs, token ids, remote content, sealed blobs.

None of it is sent to a hosted API. The policy says whether it is refused or answered inside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sovereign.errors import Unreadable
from sovereign.guard.body import Leaf
from sovereign.guard.scan import Hit
from sovereign.guard.shapes import Shape
from sovereign.policy import Policy
from sovereign.types import JSON, Action, Destination, Verdict

__all__ = ["blobs", "found", "judge"]

_PART_TYPES = {
    "image": "an image",
    "image_url": "an image",
    "input_image": "an image",
    "image_file": "an image",
    "audio": "audio",
    "input_audio": "audio",
    "audio_url": "audio",
    "video": "video",
    "video_url": "video",
    "input_video": "video",
    "file": "a file",
    "input_file": "a file",
    "document": "a file",
    "container_upload": "a file",
    "redacted_thinking": "an encrypted blob",
    "compaction": "an encrypted blob",
}
_FIELDS = {
    "image_url": "an image",
    "input_audio": "audio",
    "file_id": "a file",
    "file_data": "a file",
    "file_url": "a file",
    "image_data": "an image",
    "audio_data": "audio",
    "encrypted_content": "an encrypted blob",
}
_ELSEWHERE = {
    "previous_response_id": "a conversation that is kept elsewhere",
    "conversation": "a conversation that is kept elsewhere",
}
_DATA_URI = re.compile(r"(?<![\w-])data:[\w.+-]*/?[\w.+-]*(?:;[\w=.+-]+)*,", re.IGNORECASE)
_BLOB = re.compile(r"(?:[A-Za-z0-9+/_-]{76}\r?\n)*[A-Za-z0-9+/_-]{160,}={0,2}|[0-9A-Fa-f]{160,}")


def found(body: JSON, leaves: Sequence[Leaf], shape: Shape | None) -> list[str]:
    """What in ``body`` cannot be read, in words that quote nothing of it."""
    seen: list[str] = []
    stack: list[tuple[JSON, bool]] = [(body, True)]
    while stack:
        value, top = stack.pop()
        if isinstance(value, dict):
            kind = str(value.get("type"))
            # Under "type" a schema says what a property is; a content part says what it carries.
            known = kind in _PART_TYPES and "properties" not in value
            if known and not (kind == "document" and _text_document(value)):
                seen.append(_PART_TYPES[kind])
            seen += [what for key, what in _FIELDS.items() if isinstance(value.get(key), str)]
            if top:
                seen += [what for key, what in _ELSEWHERE.items() if value.get(key)]
                for key in shape.token_ids if shape else ():
                    if _token_ids(value.get(key)):
                        seen.append("token ids")
            stack.extend((item, False) for item in value.values())
        elif isinstance(value, list):
            stack.extend((item, False) for item in value)
    seen += ["a data URI" for leaf in leaves if _DATA_URI.search(leaf.text)]
    return seen


def _text_document(part: dict[str, JSON]) -> bool:
    source = part.get("source")
    return isinstance(source, dict) and source.get("type") in ("text", "content")


def _token_ids(value: JSON) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return any(isinstance(item, int) or _token_ids(item) for item in value)


def blobs(leaves: Sequence[Leaf], hits: Sequence[Hit]) -> list[str]:
    """Long encoded stretches that nothing was found in, since they are not text underneath."""
    covered: dict[int, list[tuple[int, int]]] = {}
    for hit in hits:
        covered.setdefault(hit.leaf, []).append((hit.finding.start, hit.finding.end))
    seen = []
    for index, leaf in enumerate(leaves):
        if max(map(len, leaf.text.split()), default=0) < 160:
            continue  # as most: the search itself is slow
        for match in _BLOB.finditer(leaf.text):
            start, end = match.span()
            inside = any(s < end and start < e for s, e in covered.get(index, ()))
            if not inside and sealed(match.group()):
                seen.append("an encoded blob")
                break
    return seen


def sealed(run: str) -> bool:
    """Whether a long run of base64 or hex letters is not text when decoded."""
    from sovereign.guard import decode

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
            f"the request holds {kinds}, which cannot be read, so it cannot be sent",
            hint='unreadable = "local" in the policy lets a model inside answer it',
        )
    return replace(
        verdict,
        action=max(verdict.action, Action.LOCAL),
        entities={**verdict.entities, "UNREADABLE": {"local": len(unread)}},
    )
