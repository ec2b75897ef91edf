"""``sovereign scan --reveal``: the words around findings, after the audit log has it who looked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sovereign.errors import ConfigError, ScanError

if TYPE_CHECKING:
    from sovereign.config import Config
    from sovereign.scan.state import State
    from sovereign.scan.worker import Plan

__all__ = ["revealed"]

_TOKEN = re.compile(r"[0-9a-f]{32}")
_ENTITY = re.compile(r"[A-Z0-9_]{1,64}")


def revealed(
    what: str, paths: tuple[str, ...], state: State, plan: Plan, loaded: Config | None
) -> None:
    """Show the context of the findings of PATHS that ``what`` names. Nothing is shown, and no file
    is read, before the record is in the audit log. Exit status 1 if one cannot be shown."""
    from sovereign.scan.reveal import Revealer, place

    token, entity = _TOKEN.fullmatch(what), _ENTITY.fullmatch(what)
    if not (token or entity or what == "all"):
        raise ConfigError("--reveal takes a token, an entity such as US_SSN, or all")
    if loaded is None:
        raise ConfigError(
            "--reveal needs a sovereign.toml: who looks is recorded in its audit log first",
            hint="`sovereign init`",
        )
    files: dict[str, dict[Any, dict[str, Any]]] = {}
    for found in state.findings():
        chosen = what in ("all", found["token"], found["entity"])
        if chosen and _below(str(found["file"]), paths):
            files.setdefault(str(found["file"]), {})[place(found)] = found
    count = sum(map(len, files.values()))
    if not count:
        raise ScanError("there is no such finding", hint="findings.jsonl lists what there is")
    _recorded(loaded, plan, count, token=what if token else None, entity=what if entity else None)
    revealer, missing = Revealer(plan), 0
    for file, wanted in files.items():
        shown = set()
        try:
            for at, context in revealer.file(set(wanted), state.slices(file)):
                shown.add(at)
                click.echo(f"{_where(wanted[at])}  {context}")
        except OSError:
            click.echo(f"{file}: it could not be read", err=True)
        missing += len(wanted) - len(shown)
    if missing:
        raise ScanError(
            f"{missing:,} findings do not stand any more where they stood", hint="scan again"
        )


def _recorded(
    loaded: Config, plan: Plan, count: int, *, token: str | None, entity: str | None
) -> None:
    from sovereign.audit.log import open_log
    from sovereign.audit.record import event
    from sovereign.scan.worker import token_key

    with open_log(loaded, "scan-reveal", announce=False) as log:
        log.append(
            event(
                "scan.reveal",
                token_key=token_key(plan.token_file).id,
                token=token,
                entity=entity,
                findings=count,
            )
        )


def _below(file: str, paths: tuple[str, ...]) -> bool:
    if "://" in file:
        return True
    roots = [Path(p).absolute() for p in paths if "://" not in p]
    return any(Path(file) == root or root in Path(file).parents for root in roots)


def _where(found: dict[str, Any]) -> str:
    member = f"!/{found['member']}" if found["member"] else ""
    field = f" {found['field']}" if found["field"] else ""
    return f"{found['file']}{member}:{found['number']}{field}"
