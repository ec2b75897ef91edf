"""Lines on stderr, from our own code only and without anything that a caller sent."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Literal

__all__ = ["configure"]

_QUIET = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio")


def configure(form: Literal["text", "json"], worker: str = "") -> None:
    """One line per event. uvicorn's own would hold paths and tracebacks, and with them what callers
    sent."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(worker) if form == "json" else _Text(worker))
    ours = logging.getLogger("sovereign")
    ours.handlers[:] = [handler]
    ours.setLevel(logging.INFO)
    ours.propagate = False
    for name in _QUIET:
        theirs = logging.getLogger(name)
        theirs.handlers[:] = [logging.NullHandler()]
        theirs.propagate = False


class _Text(logging.Formatter):
    def __init__(self, worker: str) -> None:
        said = f" worker={worker}" if worker else ""
        super().__init__(f"%(asctime)s %(levelname)s{said} %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        line = super().formatMessage(record)
        return " ".join([line, *(f"{k}={v}" for k, v in fields.items() if v is not None)])

    def formatException(self, ei: object) -> str:
        return _no_traceback()


class _Json(logging.Formatter):
    def __init__(self, worker: str) -> None:
        super().__init__()
        self._worker = {"worker": worker} if worker else {}

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        fields = getattr(record, "fields", {})
        line = {
            "time": f"{at}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._worker,
            **{k: v for k, v in fields.items() if v is not None},
        }
        return json.dumps(line)


def _no_traceback() -> str:
    """An exception's message or frames may quote a request."""
    return ""
