"""Rewrites many files: as many processes as there are cores, each with its own recognisers."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from sovereign.errors import GuardError, ScanError
from sovereign.policy import Policy
from sovereign.scan.clean import Cleaner
from sovereign.scan.finder import Finder
from sovereign.scan.known import Known
from sovereign.scan.look import Look
from sovereign.scan.parent import end_with_parent
from sovereign.scan.readers import open_reader
from sovereign.scan.record import Unread
from sovereign.scan.rewrite import NotRewritten, rewrite
from sovereign.scan.source import OpenedSource
from sovereign.scan.worker import Plan, scanner_of

__all__ = ["Copy", "Done", "copies"]


@dataclass(frozen=True, slots=True)
class Copy:
    """A file, and where its cleaned copy goes."""

    file: Path
    to: Path


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a file. ``reason`` says why it was not copied; empty if it was."""

    file: Path
    replaced: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _How:
    plan: Plan
    tenant: str
    key: bytes = field(repr=False)


def copies(
    wanted: Sequence[Copy], plan: Plan, key: bytes, tenant: str, *, jobs: int
) -> Iterator[Done]:
    """Each file as it is done. Raises :class:`ScanError` if a process dies."""
    with ProcessPoolExecutor(
        max(1, min(jobs, len(wanted))),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(_How(plan, tenant, key),),
    ) as pool:
        try:
            for future in as_completed([pool.submit(_one, copy) for copy in wanted]):
                yield future.result()
        except BrokenProcessPool:
            raise ScanError(
                "a process that rewrites died: too little memory?",
                hint="the same command goes on; --jobs 1 needs less",
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


_hand: list[_Hand] = []
"""The one of this process."""


def _begin(how: _How) -> None:
    end_with_parent()
    _hand.append(_Hand(how))


def _one(copy: Copy) -> Done:
    return _hand[0].copy(copy)


class _Hand:
    def __init__(self, how: _How) -> None:
        self._how = how
        self._scanner = scanner_of(how.plan)

    def copy(self, copy: Copy) -> Done:
        how = self._how

        def make() -> Cleaner:
            look = Look(self._scanner, how.plan.policy, known=Known())
            return Cleaner(look, how.key, how.tenant)

        reason, replaced = "", 0
        try:
            replaced = rewrite(copy.file, copy.to, make, self._clean)
        except NotRewritten as e:
            reason = str(e)
        except GuardError as e:
            reason = e.message
        except OSError:
            reason = "it could not be read, or its copy not be written"
        except ImportError:
            reason = "its format needs pip install 'sovereign-toolkit[report]'"
        return Done(copy.file, replaced, reason)

    def _clean(self, copy: Path, name: str) -> bool:
        """Whether a scan of the copy finds nothing that the policy does not let out."""
        source = OpenedSource(name, copy.stat().st_size, lambda: copy.open("rb"))
        reader = open_reader(source)
        if isinstance(reader, Unread):
            return False
        policy: Policy = self._how.plan.policy
        finder = Finder(name, self._scanner, policy, _nothing, known=Known())
        for item in reader.read(source):
            if isinstance(item, Unread):
                return False
            if any(f.verb != "allow" for f in finder.feed(item)):
                return False
        return not any(f.verb != "allow" for f in finder.flush())


def _nothing(entity: str, value: str) -> str:
    return ""
