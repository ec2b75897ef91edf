"""``sovereign scan s3://…``: which objects, of which store, with whose keys."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sovereign.errors import ConfigError, ScanError

if TYPE_CHECKING:
    from sovereign.scan.bucket import Objects
    from sovereign.scan.walk import Found

__all__ = ["asked", "objects"]

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def asked(urls: Sequence[str], endpoint: str | None, region: str) -> tuple[Objects, ...]:
    """What the URLs name. Only ``endpoint`` is asked, with the two keys of the environment: none is
    looked for anywhere else."""
    if not urls:
        return ()
    from sovereign.scan.bucket import Objects

    if endpoint is None:
        raise ConfigError("s3:// needs --endpoint, the URL of the object store")
    missing = [name for name in KEYS if name not in os.environ]
    if missing:
        raise ConfigError(f"s3:// needs the environment variable {missing[0]}")
    first, second = (os.environ[name] for name in KEYS)
    return tuple(Objects(url, endpoint, first, second, region) for url in urls)


def objects(buckets: Sequence[Objects]) -> list[Found]:
    """What lies there now."""
    from sovereign.scan.walk import Found

    try:
        return [Found(*one) for bucket in buckets for one in bucket.listed()]
    except OSError as e:
        raise ScanError(str(e), hint="--endpoint, the keys, and the bucket's name") from None
