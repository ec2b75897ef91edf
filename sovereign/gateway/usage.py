"""What keys and teams have used, in one SQLite file that all workers of a gateway share.

Every question and its answer are one transaction, so limits hold exactly however many ask at once.
Rates are counted over any sixty seconds, in cells of one second; budgets over a calendar month. A
worker that dies leaves nothing behind: its requests under way are forgotten once it is seen to be
gone. A crash of the machine can lose the last moment's counts, never the file.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sovereign.errors import BudgetSpent, LimitsUnavailable, RateLimited
from sovereign.running import Allowance
from sovereign.types import Clock

__all__ = ["Scope", "UsageFile", "Used"]

WINDOW_S = 60
BUSY_MS = 2000
_TABLES = """
CREATE TABLE IF NOT EXISTS cell (scope TEXT, kind TEXT, second INTEGER, n INTEGER NOT NULL,
    PRIMARY KEY (scope, kind, second)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS month (scope TEXT, month TEXT, requests INTEGER NOT NULL DEFAULT 0,
    tokens INTEGER NOT NULL DEFAULT 0, money INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (scope, month)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS running (request TEXT, scope TEXT, worker TEXT NOT NULL,
    PRIMARY KEY (request, scope)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS running_scope ON running (scope);
"""

_AHEAD = "SELECT coalesce(sum(n), 0) FROM cell WHERE scope = ? AND kind = ? AND second > ?"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose use is counted (``key key_1f…``, ``team cardiology``), and what it may use."""

    name: str
    allowed: Allowance

    def __str__(self) -> str:
        return "this key" if self.name.startswith("key ") else "this key's team"


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens both ways, and nano-units of money."""

    tokens: int = 0
    money: int = 0


class UsageFile:
    """Used by one thread. ``clock`` has to be one that all workers share."""

    def __init__(self, file: Path, *, clock: Clock = time.time) -> None:
        """Raises :class:`LimitsUnavailable`."""
        self._clock = clock
        self._worker = _worker(os.getpid())
        with _errors():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
            self._db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(_TABLES)

    def close(self) -> None:
        """Idempotent."""
        self._db.close()

    def begin(self, request: str, scopes: tuple[Scope, ...]) -> None:
        """Count one request under way, or raise :class:`RateLimited` and count nothing."""
        now = int(self._clock())
        self._bring_back(scopes, "requests", now)
        with self._transaction():
            for scope in scopes:
                self._check_begin(scope, now)
            for scope in scopes:
                self._add(scope.name, "requests", now, 1)
                self._add_month(scope.name, now, 1, Used())
                self._db.execute(
                    "INSERT OR REPLACE INTO running VALUES (?, ?, ?)",
                    (request, scope.name, self._worker),
                )

    def reserve(self, scopes: tuple[Scope, ...], want: Used) -> int:
        """Count what a request is expected to use; the second it is counted in, for
        :meth:`end`. Raises :class:`RateLimited`, and counts nothing."""
        now = int(self._clock())
        self._bring_back(scopes, "tokens", now)
        with self._transaction():
            for scope in scopes:
                self._check_reserve(scope, now, want)
            for scope in scopes:
                self._add(scope.name, "tokens", now, want.tokens)
                self._add_month(scope.name, now, 0, want)
        return now

    def end(
        self,
        request: str,
        scopes: tuple[Scope, ...],
        second: int | None,
        reserved: Used,
        used: Used,
    ) -> None:
        """A request is over: what it used takes the place of what was reserved for it."""
        now = int(self._clock())
        with self._transaction():
            self._db.execute("DELETE FROM running WHERE request = ?", (request,))
            if second is None:
                return
            for scope in scopes:
                if second > now - WINDOW_S:
                    self._add(scope.name, "tokens", second, used.tokens - reserved.tokens)
                more = Used(used.tokens - reserved.tokens, used.money - reserved.money)
                self._add_month(scope.name, second, 0, more)

    def month(self, scope: str) -> tuple[int, Used]:
        """Requests, and what else ``scope`` has used in this month."""
        with _errors():
            row = self._db.execute(
                "SELECT requests, tokens, money FROM month WHERE scope = ? AND month = ?",
                (scope, _month(int(self._clock()))),
            ).fetchone()
        return (row[0], Used(row[1], row[2])) if row else (0, Used())

    def _bring_back(self, scopes: tuple[Scope, ...], kind: str, now: int) -> None:
        """What a clock that was set back left in the future counts as of now: not as nothing, and
        not until then. Of its own, since the refusal that may follow takes back its transaction."""
        for scope in scopes:
            at = (scope.name, kind, now)
            with _errors():
                (n,) = self._db.execute(_AHEAD, at).fetchone()
            if not n:
                continue
            with self._transaction():
                (n,) = self._db.execute(_AHEAD, at).fetchone()
                self._db.execute("DELETE FROM cell WHERE scope = ? AND kind = ? AND second > ?", at)
                self._add(scope.name, kind, now, n)

    def _check_begin(self, scope: Scope, now: int) -> None:
        allowed = scope.allowed
        if allowed.requests_per_minute is not None:
            self._check_rate(scope, "requests", now, 1, allowed.requests_per_minute)
        if allowed.concurrent is not None and self._running(scope.name) >= allowed.concurrent:
            raise RateLimited(
                f"{scope} has {allowed.concurrent} requests under way, and may not have more",
                retry_after=1,
            )
        requests, used = self.month(scope.name)
        _check_budget(scope, "requests", now, requests + 1, allowed.requests_per_month)
        # What is spent already is said before the body is read and looked through.
        _check_budget(scope, "tokens", now, used.tokens + 1, allowed.tokens_per_month)
        _check_budget(scope, "money", now, used.money + 1, _nano(allowed.money_per_month))

    def _check_reserve(self, scope: Scope, now: int, want: Used) -> None:
        allowed = scope.allowed
        if allowed.tokens_per_minute is not None:
            self._check_rate(scope, "tokens", now, want.tokens, allowed.tokens_per_minute)
        _, used = self.month(scope.name)
        _check_budget(scope, "tokens", now, used.tokens + want.tokens, allowed.tokens_per_month)
        most = _nano(allowed.money_per_month)
        _check_budget(scope, "money", now, used.money + want.money, most)

    def _check_rate(self, scope: Scope, kind: str, now: int, more: int, limit: int) -> None:
        self._db.execute(
            "DELETE FROM cell WHERE scope = ? AND kind = ? AND second <= ?",
            (scope.name, kind, now - WINDOW_S),
        )
        cells = self._db.execute(
            "SELECT second, n FROM cell WHERE scope = ? AND kind = ? ORDER BY second",
            (scope.name, kind),
        ).fetchall()
        over = sum(n for _, n in cells) + more - limit
        if over <= 0:
            return
        free_at = now + WINDOW_S
        for second, n in cells:  # until enough of the oldest has passed
            over -= n
            if over <= 0:
                free_at = second + WINDOW_S
                break
        raise RateLimited(
            f"{scope} has used its {limit} {kind} per minute",
            retry_after=max(1, free_at - now),
            hint="ask for less, or for a greater allowance" if more > limit else "",
        )

    def _running(self, scope: str) -> int:
        rows = self._db.execute(
            "SELECT worker, count(*) FROM running WHERE scope = ? GROUP BY worker", (scope,)
        ).fetchall()
        gone = [worker for worker, _ in rows if not _alive(worker)]
        for worker in gone:
            self._db.execute("DELETE FROM running WHERE worker = ?", (worker,))
        return sum(n for worker, n in rows if worker not in gone)

    def _add(self, scope: str, kind: str, second: int, n: int) -> None:
        self._db.execute(
            "INSERT INTO cell VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n",
            (scope, kind, second, n),
        )

    def _add_month(self, scope: str, second: int, requests: int, more: Used) -> None:
        self._db.execute(
            "INSERT INTO month VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " requests = requests + excluded.requests, tokens = tokens + excluded.tokens,"
            " money = money + excluded.money",
            (scope, _month(second), requests, more.tokens, more.money),
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with _errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise


def _check_budget(scope: Scope, kind: str, now: int, after: int, limit: int | None) -> None:
    if limit is None or after <= limit:
        return
    said = f"{limit / 1e9:g} of money" if kind == "money" else f"{limit} {kind}"
    raise BudgetSpent(
        f"{scope} has used its {said} of this month, or this request would",
        retry_after=_next_month(now) - now,
        hint="the operator can raise it: [limits] in sovereign.toml, or the key's own",
    )


def _nano(money: float | None) -> int | None:
    return None if money is None else round(money * 1e9)


def _month(second: int) -> str:
    return time.strftime("%Y-%m", time.gmtime(second))


def _next_month(second: int) -> int:
    at = second
    while _month(at) == _month(second):
        at += 86400 - at % 86400
    return at


def _worker(pid: int) -> str:
    """A process's name that no later process can have: its id, and when it started."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return f"{pid}:gone"
    return f"{pid}:{stat.rpartition(')')[2].split()[19]}"


def _alive(worker: str) -> bool:
    return _worker(int(worker.partition(":")[0])) == worker


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as e:
        raise LimitsUnavailable(
            f"what was used cannot be counted: {type(e).__name__}",
            hint="see [limits].file in sovereign.toml: its disk, and who may write it",
        ) from None
