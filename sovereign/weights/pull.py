"""Pulls one commit of a Hub repository into the store: papers first, then weights, then the lock.

1. The revision is resolved to a commit, once.
2. Licence, gate, repository and commit are held against the rules, before any file is asked for.
3. Configuration, tokenizer and texts are fetched and admitted, before a byte of weights.
4. The disk is checked, and the weights are fetched, hashed as they come.
5. All is admitted, recorded, moved into place, and written into the lock.

What is fetched lies in a folder that survives the process, so the next pull goes on from there.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sovereign.errors import NotAdmitted, NotVerified, WeightsError
from sovereign.weights import lock as lockfile
from sovereign.weights.admit import check_papers
from sovereign.weights.hub import Hub, Plan, connect
from sovereign.weights.lock import Entry, File, Gate, check_name, named
from sovereign.weights.papers import is_licence
from sovereign.weights.staging import Meter, Progress, kept, require_space
from sovereign.weights.transfer import Wanted

if TYPE_CHECKING:
    from sovereign.weights.store import Store

__all__ = ["Order", "pull"]


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody asked for. ``licence`` is what they say it is, if they say so; ``accepted_by``
    who accepted the terms of a gated repository."""

    repo: str
    revision: str = "main"
    name: str | None = None
    licence: str | None = None
    accepted_by: str | None = None
    replace: bool = False


def _now() -> datetime:
    return datetime.now(UTC)


def pull(
    store: Store,
    order: Order,
    *,
    progress: Progress | None = None,
    now: Callable[[], datetime] = _now,
) -> Entry:
    """Carry out ``order``. Where the lock has it already, it is verified and nothing is fetched.

    Raises :class:`NotAdmitted` and :class:`NotVerified`, which name the file and are recorded, and
    :class:`WeightsError` where the Hub, the network or the disk fails.
    """
    name = check_name(order.name or order.repo.rpartition("/")[2].lower())
    with store.refusals(name, "hub"), connect(store.rules) as hub:
        store.rules.check_repository(order.repo)
        plan = hub.plan(order.repo, order.revision)
        entry = _papers(store, name, order, plan, now)
        root = store.root
        root.mkdir(parents=True, exist_ok=True)

        def waiting() -> None:
            if progress is not None:
                progress(f"waiting for another pull of {order.repo}", 0, 1)

        with kept(root, f"{plan.repo}@{plan.commit}", waiting) as work:
            held = lockfile.load(store.lock).get(name)
            if held is not None and (held.source, held.commit) == (plan.repo, plan.commit):
                try:
                    store.verify(name, progress=progress)
                    return held
                except NotVerified:
                    pass  # so it is mended
            files = _fetch(store, hub, plan, work, order, held, progress)
            return store.enter(work / "files", entry, replace=order.replace, known=files)


def _papers(
    store: Store, name: str, order: Order, plan: Plan, now: Callable[[], datetime]
) -> Entry:
    """Steps 1 and 2: an entry with all that is known before a file is fetched."""
    store.rules.check_commit(plan.commit, plan.repo)
    entry = named(name, "hub", plan.repo, order.licence or plan.licence)
    store.rules.check_licence(entry.licence, plan.repo)
    held = lockfile.load(store.lock).get(name)
    if held is not None and held.source == plan.repo and order.licence is None:
        _same_licence(held.licence, entry.licence, plan.repo)
    gate = None
    if plan.gate is not None:
        if order.accepted_by is None:
            raise NotAdmitted(
                f"{plan.repo}: is gated, and nobody is named who accepted its terms",
                hint="read them on the Hub, then say --accepted-by 'NAME'",
            )
        gate = Gate(plan.gate, order.accepted_by, now().strftime("%Y-%m-%dT%H:%M:%SZ"))
        if held is not None and held.gate and held.commit == plan.commit:
            gate = held.gate  # pulled again: accepted then, not now
    return dataclasses.replace(entry, commit=plan.commit, gate=gate)


def _fetch(
    store: Store,
    hub: Hub,
    plan: Plan,
    work: Path,
    order: Order,
    held: Entry | None,
    progress: Progress | None,
) -> dict[str, File]:
    """Steps 3 and 4: every file of ``plan`` in ``work/files``, as it was hashed on its way."""
    total = sum(f.size for f in plan.files)
    meter = Meter(progress, f"pulling {plan.repo}", total)
    transfer = hub.transfer(plan, work / "parts", meter)
    require_space(store.root, total - transfer.held(plan.files, work / "files"))
    found: dict[str, File] = {}

    def take(files: tuple[Wanted, ...]) -> None:
        hashes = transfer.fetch(files, work / "files")
        found.update({f.path: File(f.path, f.size, *hashes[f.path]) for f in files})

    try:
        take(plan.papers)
        check_papers(work / "files", sorted(found))
        _same_text(held, plan, order, found)
        take(plan.weights)
    except NotVerified as e:
        raise NotVerified(f"{plan.repo}: {e.message}", hint=e.hint) from None
    except OSError as e:
        raise WeightsError(
            f"{plan.repo}: {e.strerror or type(e).__name__}",
            hint="what came so far is kept for a week; pull again",
        ) from None
    return found


def _same_licence(before: str, after: str, repo: str) -> None:
    if before != after:
        raise NotAdmitted(
            f"{repo}: its licence changed from {before} to {after}",
            hint=f"read it; if you agree, say --licence {after}",
        )


def _same_text(held: Entry | None, plan: Plan, order: Order, found: dict[str, File]) -> None:
    """The same id over another text is another licence."""
    if held is None or held.source != plan.repo or order.licence or not held.licence_sha256:
        return
    texts = sorted(path for path in found if is_licence(path))
    now = found[texts[0]].sha256 if texts else None
    if now != held.licence_sha256:
        what = texts[0] if texts else "its licence"
        raise NotAdmitted(
            f"{plan.repo}: {what}: the licence's text changed since it was last pulled",
            hint=f"read it; if you agree, say --licence {plan.licence}",
        )
