"""``sovereign scan --rewrite``: cleaned copies of files, so that logs can be kept."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sovereign.errors import ConfigError, ScanError

if TYPE_CHECKING:
    from sovereign.config import Config
    from sovereign.scan.rewriter import Copy
    from sovereign.scan.worker import Plan

__all__ = ["rewritten"]

SHOWN = 12
_NEW = "a copy is made into a new folder; one that was begun goes on with the same arguments"
_UNDONE = re.compile(r"\..*\.[01]\.new")
"""What a copy is called while it is made (:func:`sovereign.scan.rewrite.rewrite`)."""


def rewritten(
    paths: tuple[str, ...],
    into: Path,
    plan: Plan,
    loaded: Config | None,
    tenant: str,
    facts: dict[str, str],
    *,
    out: Path,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Copy what PATHS hold below ``into``, cleaned. What was done is kept in ``out``: the same
    command goes on. ``facts`` are what a scan depends on. Exit status 1 if something is not copied.
    """
    from sovereign.cli.progress import Bytes
    from sovereign.scan.copied import Copied
    from sovereign.scan.rewriter import copies
    from sovereign.scan.walk import Found, walk

    roots = [Path(p).absolute() for p in paths]
    if len({root.name for root in roots}) < len(roots):
        raise ConfigError("two of the paths have the same name", hint="one scan for each")
    key = _key(plan, loaded)
    known = hmac.digest(key, b"sovereign/scan/rewrite/known", hashlib.sha256).hex()
    facts = {**facts, "surrogates": known, "tenant": tenant, "into": str(into.absolute())}
    done: dict[str, int] = {}  # values replaced in each file that is copied
    left: dict[str, str] = {}
    copied = Copied(out / "rewrite.db", facts)
    try:
        if not copied.begun and into.exists() and any(into.iterdir()):
            raise ConfigError(f"{into}: is not empty", hint=_NEW)
        copied.begin()
        into.mkdir(parents=True, exist_ok=True, mode=0o700)
        there = list(walk(roots, leave=[into, out]))
        files = {one.path: one for one in there if isinstance(one, Found)}
        places = {path: _copy(Path(path), roots, into) for path in files}
        wanted: list[Copy] = []
        for path, file in files.items():
            replaced = copied.replaced(file)
            if replaced is None or not places[path].to.exists():
                wanted.append(places[path])
            else:
                done[path] = replaced
        _swept(into, {places[path].to for path in done})
        at, total = sum(files[path].size for path in done), sum(f.size for f in files.values())
        cores = jobs or len(os.sched_getaffinity(0))
        with Bytes() as bar:
            for one in copies(wanted, plan, key, tenant, jobs=cores) if wanted else ():
                file = files[str(one.file)]
                if one.reason:
                    left[file.path] = one.reason
                else:
                    done[file.path] = one.replaced
                    copied.add(file, one.replaced)
                at += file.size
                bar("rewrite", at, total)
    finally:
        copied.close()
    left |= {one.path: one.reason for one in there if not isinstance(one, Found)}
    _told(done, left, into, as_json=as_json)
    if left:
        raise SystemExit(1)


def _swept(into: Path, done: set[Path]) -> None:
    """What a rewrite that was killed left behind is gone: it may not be clean yet."""
    for folder, _, names in os.walk(into):
        for file in (Path(folder, name) for name in names if _UNDONE.fullmatch(name)):
            if file not in done:
                file.unlink()


def _told(done: dict[str, int], left: dict[str, str], into: Path, *, as_json: bool) -> None:
    copied, replaced = len(done), sum(done.values())
    if as_json:
        missing = [{"path": path, "reason": why} for path, why in sorted(left.items())]
        told = {"copied": copied, "replaced": replaced, "not_copied": missing}
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(f"{copied:,} files copied into {into}, {replaced:,} values replaced")
        for path, why in sorted(left.items())[:SHOWN]:
            click.echo(f"not copied: {path}: {why}")
        if len(left) > SHOWN:
            click.echo(f"not copied: {len(left) - SHOWN:,} more (--json)")


def _copy(file: Path, roots: list[Path], into: Path) -> Copy:
    from sovereign.scan.rewriter import Copy

    for root in roots:
        if file == root or root in file.parents:
            return Copy(file, into / root.name / file.relative_to(root))
    raise ScanError("a file below none of the paths")


def _key(plan: Plan, loaded: Config | None) -> bytes:
    """The gateway's, so that surrogates are equal to those that it gave out; else made of the key
    of the scan's tokens."""
    if loaded is None:
        secret = plan.token_file.read_bytes()
        return hmac.digest(secret, b"sovereign/scan/rewrite/v1", hashlib.sha256)
    file = loaded.resolve(loaded.guard.key_file)
    try:
        return file.read_bytes()
    except OSError as e:
        raise ConfigError(
            f"{file}: {e.strerror}", hint="`sovereign init` makes the key of surrogates"
        ) from None
