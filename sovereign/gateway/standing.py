"""The guard in use, and how another takes its place: whole, or not at all.

A new policy file takes effect between two requests, once it was read, its recognisers found the
canary, and its digest is in the log. One that is broken changes nothing but what is said about it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sovereign.audit import record
from sovereign.audit.awaiting import durable
from sovereign.errors import AuditError, ConfigError, SovereignError
from sovereign.gateway.clear import Clearance
from sovereign.gateway.metrics import Metrics
from sovereign.guard import Guard
from sovereign.types import Sink

__all__ = ["InUse", "Standing"]

LOGGER = logging.getLogger("sovereign.gateway")


@dataclass(frozen=True, slots=True)
class InUse:
    """One guard, and the clearance that asks it. A request keeps to the one it began with."""

    guard: Guard
    clearance: Clearance
    policy: str


class Standing:
    """Belongs to the event loop's thread. ``make`` reads the policy anew; it may block."""

    def __init__(
        self,
        guard: Guard,
        file: Path | None,
        *,
        make: Callable[[], Guard],
        clearance: Callable[[Guard], Clearance],
        log: Sink,
        metrics: Metrics,
    ) -> None:
        self._file = file
        self._make = make
        self._clearance = clearance
        self._log = log
        self._metrics = metrics
        self._stamp = self._stamps()
        self._asked = False
        self.broken = False
        self.now = self._in_use(guard)

    def ask(self) -> None:
        """Read the file at the next :meth:`refresh`, changed or not: SIGHUP."""
        self._asked = True

    async def refresh(self) -> None:
        """Take over the policy file if it changed; never raises for what is in it."""
        stamp = self._stamps()
        if stamp == self._stamp and not self._asked:
            return
        self._asked = False
        try:
            guard = await asyncio.to_thread(self._read)
            new = self._in_use(guard)
            old = self.now
            if (new.policy, guard.build) != (old.policy, old.guard.build):
                loaded = record.event(
                    "policy.load", name=guard.policy.name, policy=new.policy, previous=old.policy
                )
                await durable(self._log, loaded)
        except AuditError as e:  # tried again with the next tick: no record, no new policy
            LOGGER.error("policy: the old one stays in use, for the log takes no record: %s", e)
            self._say_broken("audit_unavailable")
            return
        except Exception as e:  # noqa: BLE001 - a plugin may raise anything; the old guard stands
            said = e.message if isinstance(e, SovereignError) else type(e).__name__
            LOGGER.error("policy: the old one stays in use: %s", said)
            self._stamp = stamp
            self._say_broken(e.code if isinstance(e, SovereignError) else "error")
            return
        self._stamp = stamp
        self.now = new
        self._say_broken(None)
        LOGGER.info("policy: %s %s is in use", guard.policy.name, new.policy[:12])

    def _read(self) -> Guard:
        if self._file is not None and not self._file.exists():
            raise ConfigError(f"{self._file}: no such file")
        guard = self._make()
        guard.canary()
        return guard

    def _in_use(self, guard: Guard) -> InUse:
        return InUse(guard, self._clearance(guard), guard.policy.digest())

    def _say_broken(self, code: str | None) -> None:
        self.broken = code is not None
        self._metrics.gauge("sovereign_policy_broken", float(self.broken))
        self._metrics.count("sovereign_policy_reloads_total", outcome=code or "ok")
        if code is not None and code != "audit_unavailable":
            refused = record.event("policy.refuse", code=code, kept=self.now.policy)
            self._log.submit(refused).add_done_callback(lambda done: done.exception())

    def _stamps(self) -> tuple[int, int, int] | None:
        if self._file is None:
            return None
        try:
            at = self._file.stat()
        except OSError:
            return (0, 0, 0)
        return (at.st_ctime_ns, at.st_size, at.st_ino)
