"""What the road tells the audit log of a request: an intent and its result, or a refusal.

Intent and refusal are durable when their call returns. Nobody waits for a result: if the log fails
there, the next intent will tell.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import Future

from sovereign.audit import record
from sovereign.audit.awaiting import landed, later, soon
from sovereign.errors import AuditError, LogUnavailable, SovereignError
from sovereign.gateway.asked import Asked
from sovereign.gateway.clear import Cleared
from sovereign.gateway.metrics import Metrics
from sovereign.gateway.traces import INTERNAL
from sovereign.types import JSON, Receipt, Sink

__all__ = ["Intent", "Recorder"]

LOGGER = logging.getLogger("sovereign.gateway")


class Recorder:
    """``failing`` is whether the last record that somebody waited for was lost."""

    def __init__(self, log: Sink, metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self.failing = False
        self.results_lost = 0

    def intent(self, asked: Asked, cleared: Cleared) -> Intent:
        """What is about to leave, on its way to the disk. Nothing may leave before it landed."""
        assert asked.key is not None
        assert asked.model is not None
        assert asked.guard_build is not None
        to = cleared.upstream.destination
        fields = record.intent(
            request=asked.id,
            team=asked.key.team,
            key_id=asked.key.id,
            endpoint=asked.endpoint,
            model=asked.model,
            destination=to,
            verdict=cleared.verdict,
            guard_build=asked.guard_build,
            body_sha256=cleared.sha256,
            bytes_out=len(cleared.raw),
            stream=cleared.stream,
            rerouted=cleared.rerouted,
            tokens=asked.tokens,
        )
        asked.body_sha256 = cleared.sha256
        # From here on it may be in the log, even if we are cancelled while we wait.
        asked.intended = True
        return Intent(self, asked, cleared, fields)

    async def refusal(self, asked: Asked, error: SovereignError) -> None:
        """What was not sent, and why. Raises :class:`AuditError`."""
        self._metrics.count("sovereign_refusals_total", code=error.code)
        asked.guard_build = None  # the record of a refusal names no build
        asked.receipt = await self._durable(
            record.refusal(
                request=asked.id,
                team=asked.key.team if asked.key else None,
                key_id=asked.key.id if asked.key else None,
                endpoint=asked.endpoint,
                model=asked.model,
                code=error.code,
                status=error.status,
                verdict=asked.verdict,
                tokens=asked.tokens,
            )
        )

    def result(self, asked: Asked, outcome: str, status: int) -> None:
        """How a request with an intent ended; the first word counts."""
        if asked.ended or not asked.intended:
            return
        asked.ended = True
        fields = record.result(
            request=asked.id,
            status=status,
            outcome=outcome,
            bytes_in=asked.bytes_in,
            duration_ms=int(asked.seconds() * 1000),
            tries=asked.attempts.count if asked.attempts.count > 1 else None,
            tokens_in=asked.used.input or None,
            tokens_out=asked.used.output or None,
        )
        later(self._log, fields).add_done_callback(self._say_if_lost)
        self._metrics.count(
            "sovereign_requests_total",
            endpoint=asked.endpoint,
            destination=asked.destination.name if asked.destination else "none",
            outcome=outcome,
        )

    async def probe(self) -> None:
        """A record for its own sake, to see whether a log that failed works again."""
        await self._durable(record.event("log.read", command="readyz"))

    async def _durable(self, fields: Mapping[str, JSON]) -> Receipt:
        return await self._landed(self._soon(fields))

    def _soon(self, fields: Mapping[str, JSON]) -> Future[Receipt]:
        try:
            return soon(self._log, fields)
        except Exception as e:  # noqa: BLE001 - told like any other, to whoever waits
            failed: Future[Receipt] = Future()
            failed.set_exception(e)
            return failed

    async def _landed(self, submitted: Future[Receipt]) -> Receipt:
        try:
            receipt = await landed(submitted)
        except AuditError:
            self._lost()
            raise
        except Exception as e:  # noqa: BLE001 - whatever it is, there is no record
            self._lost()
            LOGGER.error("the audit log failed with %s", type(e).__name__)
            raise LogUnavailable("the audit log cannot take a record") from None
        self.failing = False
        return receipt

    def _lost(self) -> None:
        self.failing = True
        self._metrics.count("sovereign_audit_failures_total")

    def _say_if_lost(self, submitted: Future[Receipt]) -> None:
        """In whatever thread the log is: a count of Python's integers is enough for that."""
        if not submitted.cancelled() and submitted.exception() is not None:
            self.results_lost += 1
            LOGGER.error("a result was not recorded: %s", type(submitted.exception()).__name__)


class Intent:
    """The record of what is about to leave, once it was submitted. ``landed_at`` is set, in seconds
    since the epoch, when it is durable."""

    def __init__(
        self, recorder: Recorder, asked: Asked, cleared: Cleared, fields: Mapping[str, JSON]
    ) -> None:
        """Use :meth:`Recorder.intent`."""
        self.landed_at: float | None = None
        self._recorder, self._asked, self._cleared = recorder, asked, cleared
        self._began, self._after_s = time.time(), asked.seconds()
        self._submitted = recorder._soon(fields)

    async def landed(self) -> None:
        """Wait until it is durable; the first time costs, not the next. Raises
        :class:`AuditError`; then nothing may leave."""
        if self.landed_at is not None:
            return
        asked, recorder = self._asked, self._recorder
        try:
            asked.receipt = await recorder._landed(self._submitted)
        except AuditError:
            asked.intended = False
            asked.body_sha256 = None
            raise
        self.landed_at = now = time.time()
        to, verb = self._cleared.upstream.destination.name, self._cleared.verdict.action.verb
        recorder._metrics.count("sovereign_verdicts_total", destination=to, verb=verb)
        recorder._metrics.observe("sovereign_audit_seconds", asked.seconds() - self._after_s)
        if asked.trace is not None:
            asked.trace.span("audit", self._began, now, INTERNAL)
