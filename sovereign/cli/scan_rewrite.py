"""``sovereign scan --rewrite``: cleaned copies of files, so that logs can be kept."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
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


def rewritten(
    paths: tuple[str, ...],
    into: Path,
    plan: Plan,
    loaded: Config | None,
    tenant: str,
    *,
    leave: Path,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Copy what PATHS hold below ``into``, cleaned. Exit status 1 if something is not copied."""
    from sovereign.cli.progress import Bytes
    from sovereign.scan.rewriter import copies
    from sovereign.scan.walk import Skipped, walk

    if into.exists() and any(into.iterdir()):
        raise ConfigError(f"{into}: is not empty", hint="a copy is made into a new folder")
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    roots = [Path(p).absolute() for p in paths]
    if len({root.name for root in roots}) < len(roots):
        raise ConfigError("two of the paths have the same name", hint="one scan for each")
    there = list(walk(roots, leave=[into, leave]))
    left = {one.path: one.reason for one in there if isinstance(one, Skipped)}
    sizes = {one.path: one.size for one in there if not isinstance(one, Skipped)}
    wanted = [_copy(Path(path), roots, into) for path in sizes]
    replaced = done = 0
    key = _key(plan, loaded)
    with Bytes() as bar:
        for one in copies(wanted, plan, key, tenant, jobs=jobs or len(os.sched_getaffinity(0))):
            replaced += 0 if one.reason else one.replaced
            done += sizes[str(one.file)]
            if one.reason:
                left[str(one.file)] = one.reason
            bar("rewrite", done, sum(sizes.values()))
    copied = len(wanted) + len([o for o in there if isinstance(o, Skipped)]) - len(left)
    if as_json:
        rows = [{"path": path, "reason": why} for path, why in sorted(left.items())]
        click.echo(
            json.dumps({"copied": copied, "replaced": replaced, "not_copied": rows}, indent=2)
        )
    else:
        click.echo(f"{copied:,} files copied into {into}, {replaced:,} values replaced")
        for path, why in sorted(left.items())[:SHOWN]:
            click.echo(f"not copied: {path}: {why}")
        if len(left) > SHOWN:
            click.echo(f"not copied: {len(left) - SHOWN:,} more (--json)")
    if left:
        raise SystemExit(1)


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
