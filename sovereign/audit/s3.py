"""A bucket of an S3-compatible object store as a shelf. Needs the extra ``s3``.

Endpoint and both keys are given; nothing is looked up, on this machine or on any network. A
checkpoint is put on the condition that it is still the one that was read ("If-Match"), so two
publishers cannot put an old one over a new one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sovereign.audit.shelf import ELSEWHERE
from sovereign.errors import ConfigError, LogTampered, LogUnavailable, MissingExtra

if TYPE_CHECKING:
    from obstore.store import S3Store

__all__ = ["Bucket", "S3Shelf"]

SECONDS = "30s"
TRIES = 3


@dataclass(frozen=True, slots=True, repr=False)
class Bucket:
    """Where a log is published, and the keys for it. Its repr shows no key."""

    url: str
    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def __repr__(self) -> str:
        return f"Bucket({self.url})"

    def open(self) -> S3Shelf:
        """Raises :class:`ConfigError` for a URL that is none, :class:`MissingExtra`."""
        parts = urlsplit(self.url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise ConfigError("a bucket is s3://NAME or s3://NAME/PREFIX")
        if urlsplit(self.endpoint).scheme not in ("http", "https"):
            raise ConfigError("--endpoint is the http or https URL of the object store")
        try:
            from obstore.store import S3Store
        except ImportError:
            raise MissingExtra("obstore", "s3") from None
        store = S3Store(
            parts.netloc,
            endpoint=self.endpoint,
            region=self.region,
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True, "timeout": SECONDS},
            retry_config={"max_retries": TRIES},
        )
        return S3Shelf(store, self.url.rstrip("/"), parts.path.strip("/"))


class S3Shelf:
    """Objects under a prefix."""

    def __init__(self, store: S3Store, name: str, prefix: str) -> None:
        self._store = store
        self._name = name
        self._prefix = prefix
        self._read: dict[str, Any] = {}

    @property
    def name(self) -> str:
        return self._name

    def under(self, part: str) -> S3Shelf:
        return S3Shelf(self._store, f"{self._name}/{part}", self._key(part))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """There is no lock: :meth:`put` finds out."""
        yield

    def get(self, name: str) -> bytes | None:
        import obstore

        with self._errors(name):
            try:
                got = obstore.get(self._store, self._key(name))
                data = bytes(got.bytes())
            except FileNotFoundError:
                return None
            seen = {key: got.meta.get(key) for key in ("e_tag", "version")}
            self._read[name] = {key: said for key, said in seen.items() if said is not None}
            return data

    def add(self, name: str, data: bytes) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._errors(name):
            try:
                obstore.put(self._store, self._key(name), data, mode="create")
            except AlreadyExistsError:
                if self.get(name) != data:
                    raise LogTampered(
                        f"{self._name}/{name} is there already, and says otherwise", hint=ELSEWHERE
                    ) from None
                return False
        return True

    def put(self, name: str, data: bytes) -> None:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        known = self._read.get(name)
        with self._errors(name):
            try:
                obstore.put(self._store, self._key(name), data, mode=known or "create")
            except (AlreadyExistsError, PreconditionError):
                raise LogUnavailable(
                    f"{self._name}: somebody else has just published here", hint="try again"
                ) from None

    def drop(self, prefix: str) -> None:
        import obstore

        with contextlib.suppress(Exception):  # that it stays does no harm
            for page in obstore.list(self._store, self._key(prefix) + "/"):
                obstore.delete(self._store, [one["path"] for one in page])

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    @contextlib.contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """What the store says may hold headers; only the kind of failure is passed on."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as e:
            raise LogUnavailable(
                f"{self._name}/{name}: {type(e).__name__}",
                hint="endpoint, bucket and keys; is the object store there?",
            ) from None
