"""Objects of S3-compatible storage as sources. Only the endpoint that is given is asked, with the
keys that are given."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from sovereign.errors import ConfigError, MissingExtra
from sovereign.scan.source import OpenedSource

__all__ = ["Objects"]

BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class Objects:
    """What lies under ``s3://BUCKET/PREFIX``. Its repr shows no key."""

    url: str
    endpoint: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str = "us-east-1"

    def sources(self) -> Iterator[OpenedSource]:
        """Each object, by name. Raises as :meth:`listed` does."""
        store = self._store()
        for name, size, _ in self.listed():
            yield OpenedSource(name, size, partial(_opened, store, self._path(name)))

    def listed(self) -> Iterator[tuple[str, int, int]]:
        """Name, size, and when it was written (nanoseconds since the epoch) of each object, by
        name. Raises :class:`ConfigError` for a URL that is none, :class:`MissingExtra`, and OSError
        if the store cannot be listed."""
        store, prefix = self._store(), urlsplit(self.url).path.strip("/")
        import obstore
        from obstore.exceptions import BaseError

        try:
            found = [
                (str(one["path"]), int(one["size"]), int(one["last_modified"].timestamp() * 1e9))
                for page in obstore.list(store, prefix or None)
                for one in page
            ]
        except BaseError as e:
            raise OSError(f"the bucket cannot be listed ({type(e).__name__})") from None
        for path, size, changed in sorted(found):
            yield f"s3://{urlsplit(self.url).netloc}/{path}", size, changed

    def holds(self, name: str) -> bool:
        """Whether ``name`` is an object that :meth:`listed` may have named."""
        return name.startswith(f"s3://{urlsplit(self.url).netloc}/")

    def source(self, name: str) -> OpenedSource:
        """The object of that name, as long as it is now. Raises OSError."""
        import obstore
        from obstore.exceptions import BaseError

        store = self._store()
        try:
            size = int(obstore.head(store, self._path(name))["size"])
        except FileNotFoundError:
            raise
        except BaseError as e:
            raise OSError from e
        return OpenedSource(name, size or None, partial(_opened, store, self._path(name)))

    def _path(self, name: str) -> str:
        return name.removeprefix(f"s3://{urlsplit(self.url).netloc}/")

    def _store(self) -> Any:
        parts = urlsplit(self.url)
        if parts.scheme != "s3" or not parts.netloc:
            raise ConfigError("objects are s3://BUCKET or s3://BUCKET/PREFIX")
        try:
            from obstore.store import S3Store
        except ImportError:
            raise MissingExtra("obstore", "s3") from None
        return S3Store(
            parts.netloc,
            endpoint=self.endpoint,
            region=self.region,
            access_key_id=self.access_key,
            secret_access_key=self.secret_key,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True, "timeout": "60s"},
            retry_config={"max_retries": 3},
        )


def _opened(store: Any, path: str) -> BinaryIO:
    import obstore
    from obstore.exceptions import BaseError

    try:
        return cast(BinaryIO, _Object(obstore.open_reader(store, path, buffer_size=BUFFER)))
    except BaseError as e:
        raise OSError from e


class _Object(io.RawIOBase):
    """An object that is read in pieces; it may be read from anywhere."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = 0) -> int:
        return int(self._reader.seek(place, whence))

    def tell(self) -> int:
        return int(self._reader.tell())

    def read(self, count: int = -1) -> bytes:
        from obstore.exceptions import BaseError

        try:
            return bytes(self._reader.read(None if count < 0 else count))
        except BaseError as e:
            raise OSError from e
