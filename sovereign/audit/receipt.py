"""A receipt: what an answer of the gateway says about its own record, checkable against the log.

It goes out in a header, as a dictionary of RFC 9651. By itself it proves nothing; with the log, or
with a proof of the record, it proves that this decision over these bytes was written down, and
where. It holds digests and words of the configuration, nothing of a request.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass

from sovereign.audit.tree import leaf_hash
from sovereign.errors import AuditError, LogTampered

__all__ = ["HEADER", "RequestReceipt"]

HEADER = "x-sovereign-receipt"
VERSION = 1
_ITEM = re.compile(
    r'([a-z]+)=(?:(\d{1,15})|"([A-Za-z0-9._:/@-]{1,256})"|:([A-Za-z0-9+/=]{44}):)', re.ASCII
)
MOST = 2000


@dataclass(frozen=True, slots=True)
class RequestReceipt:
    """``index`` and ``leaf`` say which record of the log ``origin`` it is; the rest, what is in it.
    Digests are 32 bytes. A refusal before the policy was asked has neither verdict nor policy, and
    nothing that was refused has a body."""

    origin: str
    index: int
    leaf: bytes
    request: str
    verdict: str | None = None
    policy: bytes | None = None
    build: bytes | None = None
    body: bytes | None = None

    def __str__(self) -> str:
        items = [f"v={VERSION}"]
        for name in self.__slots__:  # as they are declared
            value = getattr(self, name)
            if isinstance(value, bytes):
                items.append(f"{name}=:{base64.b64encode(value).decode()}:")
            elif value is not None:
                items.append(f"{name}={value}" if type(value) is int else f'{name}="{value}"')
        return ", ".join(items)

    @classmethod
    def parse(cls, text: str) -> RequestReceipt:
        """What :meth:`__str__` writes, and nothing else; the header's name before it is fine.
        Raises :class:`AuditError`."""
        wrong = AuditError(
            "this is no receipt", hint=f'the value of the header {HEADER}: v=1, origin="…", …'
        )
        said = text.strip()
        if said.lower().startswith(f"{HEADER}:"):
            said = said[len(HEADER) + 1 :].strip()
        if len(said) > MOST:
            raise wrong
        found: dict[str, str | int | bytes] = {}
        for item in said.split(", "):
            match = _ITEM.fullmatch(item)
            if match is None:
                raise wrong
            name, number, word, digest = match.groups()
            try:
                found[name] = (
                    int(number) if number else word or base64.b64decode(digest, validate=True)
                )
            except binascii.Error:
                raise wrong from None
        if found.pop("v", None) != VERSION:
            raise wrong
        try:
            receipt = cls(**found)  # type: ignore[arg-type]
        except TypeError:
            raise wrong from None
        kinds = {"origin": str, "index": int, "leaf": bytes, "request": str}
        if str(receipt) != said or any(
            type(getattr(receipt, n)) is not k for n, k in kinds.items()
        ):
            raise wrong
        return receipt

    def check(self, record: bytes, index: int, origin: str) -> None:
        """That record ``index`` of the log ``origin`` is what this receipt was given for. Raises
        :class:`LogTampered`."""
        if (origin, index) != (self.origin, self.index):
            raise LogTampered(
                f"the receipt is for record {self.index} of {self.origin}, "
                f"and this is record {index} of {origin}",
                index=index,
            )
        if leaf_hash(record) != self.leaf:
            raise LogTampered(
                f"record {index} is not the one that this receipt was given for",
                index=index,
                hint="the log was rewritten, or the receipt was made up",
            )
        held = json.loads(record)
        said = {
            "request": self.request,
            "verdict": self.verdict,
            "policy": self.policy and self.policy.hex(),
            "guard_build": self.build and self.build.hex(),
            "body_sha256": self.body and self.body.hex(),
        }
        for name, value in said.items():
            if value is not None and held.get(name) != value:
                raise LogTampered(
                    f"the receipt says another {name} than record {index}",
                    index=index,
                    hint="the record is in the log; the receipt was changed",
                )
