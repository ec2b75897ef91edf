"""E-mail files: every header, every body and every attachment, and the message written again."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable
from email.message import Message
from typing import Any

from sovereign.guard.documents.limits import Job
from sovereign.guard.documents.text import decode

__all__ = ["read"]


def read(data: bytes, job: Job, inner: Callable[[bytes, str, Job], bytes]) -> bytes:
    """Everything of one message into ``job``; the message as it may leave."""
    message = email.message_from_bytes(data, policy=email.policy.compat32)
    _one(message, job, inner)
    if job.unread:
        return b""
    try:
        return message.as_bytes()
    except (ValueError, LookupError, UnicodeError, TypeError):
        job.cannot("a damaged e-mail file")
        return b""


def _one(message: Message, job: Job, inner: Callable[[bytes, str, Job], bytes]) -> None:
    job.budget.member()
    job.text("headers", "\n".join(f"{k}: {_header(v)}" for k, v in message.raw_items()))
    message.preamble = message.epilogue = None
    if message.is_multipart():
        parts = message.get_payload()
        assert isinstance(parts, list)
        for number, part in enumerate(parts, 1):
            _one(part, job.inside(f"part {number}"), inner)
        return
    content = message.get_payload(decode=True)
    if not isinstance(content, bytes):
        return
    kind, name = message.get_content_type(), message.get_filename() or ""
    job.budget.unpack(len(content))
    if message.get_content_maintype() == "text" and not name:
        text = decode(content, f"{kind}; charset={message.get_content_charset('')}")
        if text is None:
            job.cannot("an e-mail whose text cannot be decoded")
            return
        job.text("text", text)
        _put(message, text.encode(), kind)
        return
    inside = job.inside("attachment")
    inside.text("name", name)
    _put(message, inner(content, name, inside), kind)


def _put(message: Message, content: bytes, kind: str) -> None:
    """``content`` as the body, in one encoding that is ours."""
    import base64

    del message["Content-Transfer-Encoding"]
    message.set_payload(base64.encodebytes(content).decode("ascii"))
    message["Content-Transfer-Encoding"] = "base64"
    if kind.startswith("text/") and not message.get_filename():
        message.set_param("charset", "utf-8")


def _header(value: Any) -> str:
    """As written, and as read: encoded words are decoded beside themselves."""
    from email.header import decode_header

    raw = str(value)
    try:
        shown = "".join(
            part.decode(charset or "latin-1", "replace") if isinstance(part, bytes) else part
            for part, charset in decode_header(raw)
        )
    except (ValueError, LookupError):
        shown = raw
    return raw if shown == raw else f"{raw}\n{shown}"
