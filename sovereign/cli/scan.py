"""``sovereign scan``: personal data in logs and data that the toolkit did not write."""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from sovereign.cli.guarded import CONFIG, configured
from sovereign.errors import ConfigError, ScanError, SovereignError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sovereign.scan.readers.postgres_reader import TableSource
    from sovereign.scan.state import State
    from sovereign.scan.walk import Found
    from sovereign.scan.worker import Plan

__all__ = ["scan_command"]

OBJECTS = "s3://"
DATABASES = ("postgresql://", "postgres://")


@click.command("scan")
@click.argument("paths", nargs=-1, required=True, metavar="PATHS")
@click.option("--policy", help="A preset or a policy file, instead of the configured one.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("scan"),
    show_default=True,
    help="The folder of its state, and of what it finds.",
)
@click.option("--jobs", type=click.IntRange(1), help="Processes; as many as there are cores.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where the processes are: on this machine, or on a Ray cluster that sees the same files.",
)
@click.option("--address", help="The Ray cluster's; without it, one on this machine.")
@click.option("--endpoint", help="The object store's URL; needed for s3://BUCKET/PREFIX.")
@click.option("--region", default="us-east-1", show_default=True, help="Of the object store.")
@click.option("--sample", help="Look at a share of the records only, such as 1%.")
@click.option("--fresh", is_flag=True, help="Forget what an earlier scan into --out has done.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The findings.jsonl of an earlier scan: only what is new decides the exit status.",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["sarif", "parquet"]),
    help="Write the findings in this form, too.",
)
@click.option(
    "--against-log",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder of the gateway's audit log: list the calls in PATHS that went around it.",
)
@click.option("--log-key", help="Its verifier key, from `sovereign audit key`, kept elsewhere.")
@click.option(
    "--rewrite",
    type=click.Path(path_type=Path, file_okay=False),
    help="Make cleaned copies in this new folder, with surrogates for what may not leave.",
)
@click.option(
    "--tenant", default="default", show_default=True, help="Whose surrogates --rewrite makes."
)
@click.option(
    "--reveal",
    metavar="WHAT",
    help="Of a scan that is done: show the words around findings of a token, an entity, or all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option("--config", default=CONFIG, show_default=True, help="The configuration.")
def scan_command(
    paths: tuple[str, ...],
    policy: str | None,
    out: Path,
    jobs: int | None,
    engine: str,
    address: str | None,
    endpoint: str | None,
    region: str,
    sample: str | None,
    fresh: bool,
    baseline: Path | None,
    formats: tuple[str, ...],
    against_log: Path | None,
    log_key: str | None,
    rewrite: Path | None,
    tenant: str,
    reveal: str | None,
    as_json: bool,
    config: str,
) -> None:
    """Find personal data in files and folders, and what of it left.

    PATHS may be PostgreSQL databases, too: postgresql://HOST/NAME, with the password in PGPASSWORD;
    and objects, s3://BUCKET/PREFIX, with keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

    Writes OUT/report.html, findings.jsonl and summary.json: what, where, since when, sent to whom;
    keyed tokens, never text. Stopped or killed, it goes on where it was; files that grew are read
    from there on. Exit status 1 if it found what the policy does not let out.

    With --against-log nothing is looked for but calls to hosted APIs, in logs of proxies and APIs:
    those that the gateway's audit log does not answer for went around it.

    With --rewrite cleaned copies are made, in their own formats; what cannot be rewritten is listed
    and not copied, and the exit status is 1. Stopped or killed, the same command goes on.

    With --reveal a scan that is done says what stands around its findings, which are masked; that
    somebody looked is in the audit log before.
    """
    from sovereign.cli.progress import Bytes
    from sovereign.cli.scan_objects import asked, objects
    from sovereign.scan.run import run
    from sovereign.scan.state import State
    from sovereign.scan.summary import lines, summarise
    from sovereign.scan.walk import walk

    for path in paths:
        # What vanishes meanwhile is listed as unread; a mistyped path is no clean one.
        if not path.startswith((*DATABASES, OBJECTS)) and not Path(path).exists():
            raise click.BadParameter(f"{path!r} does not exist.", param_hint="'PATHS'")
    share = _share(sample)
    buckets = asked([p for p in paths if p.startswith(OBJECTS)], endpoint, region)
    if buckets and (rewrite or against_log):
        raise ConfigError("objects are only scanned", hint="copy them for anything else")
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    if against_log is not None:
        from sovereign.cli.scan_against import against

        against(paths, against_log, log_key, out, config, as_json=as_json)
        return
    plan, facts = _plan(config, policy, out, share)
    if rewrite is not None:
        from sovereign.cli.scan_rewrite import rewritten

        loaded = configured(config)
        rewritten(paths, rewrite, plan, loaded, tenant, facts, out=out, jobs=jobs, as_json=as_json)
        return
    plan = replace(plan, tables=_tables(paths), buckets=buckets)
    known = None if baseline is None else _known(baseline)
    file = out / "scan.db"
    if fresh and reveal is None:
        for old in (file, file.with_name("scan.db-wal"), file.with_name("scan.db-shm")):
            old.unlink(missing_ok=True)
    if reveal is not None and not file.exists():
        raise ScanError(f"{out}: holds no scan", hint="the same command without --reveal makes it")
    state = State(file, facts)
    try:
        if reveal is not None:
            from sovereign.cli.scan_reveal import revealed

            revealed(reveal, paths, state, plan, configured(config))
            return
        files = [Path(p).absolute() for p in paths if not p.startswith((*DATABASES, OBJECTS))]
        there = [*walk(files, leave=[out]), *(_listed(table) for table in plan.tables)]
        there += objects(buckets)
        cores = len(os.sched_getaffinity(0))
        with Bytes() as bar:
            shown = partial(bar, "scan")
            if engine == "ray":
                from sovereign.scan.on_ray import run_on_ray

                run_on_ray(state, there, plan, jobs=jobs or cores, address=address, progress=shown)
            else:
                run(state, there, plan, jobs=jobs or cores, progress=shown)
        told = summarise(state, known=known)
        _write(state, out, told, formats, known)
    except KeyboardInterrupt:
        raise ScanError("stopped", hint="the same command goes on where it was") from None
    finally:
        state.close()
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(lines(told)))
    if told["new"] if known is not None else told["held_back"]:
        raise SystemExit(1)


def _tables(paths: tuple[str, ...]) -> tuple[TableSource, ...]:
    """Every table of every database that is named."""
    from sovereign.scan.readers.postgres_reader import tables

    found: list[TableSource] = []
    for url in paths:
        if url.startswith(DATABASES):
            try:
                found += tables(url)
            except SovereignError:
                raise
            except Exception as e:  # noqa: BLE001 - psycopg's, which may not be installed; its words may hold the URL
                raise ScanError(f"a database cannot be read ({type(e).__name__})") from None
    return tuple(found)


def _listed(table: TableSource) -> Found:
    """A table is read whole each time: nothing tells whether it changed."""
    from sovereign.scan.walk import Found

    return Found(table.name, 0, time.time_ns())


def _plan(config: str, policy: str | None, out: Path, share: float) -> tuple[Plan, dict[str, str]]:
    """What workers need, and what the findings depend on."""
    from sovereign.config import GuardConfig
    from sovereign.guard.inspect import build_digest
    from sovereign.guard.recognizers import from_config
    from sovereign.policy import load_policy, presets
    from sovereign.scan.worker import Plan, token_key

    loaded = configured(config)
    if policy is not None:
        preset = policy in presets()
        chosen = load_policy(preset=policy) if preset else load_policy(file=Path(policy))
    elif loaded is not None:
        own = loaded.policy.file
        chosen = load_policy(
            preset=loaded.policy.preset, file=None if own is None else loaded.resolve(own)
        )
    else:
        raise ConfigError(
            f"{config}: no such file, and no --policy",
            hint=f"--policy with one of: {', '.join(presets())}; or `sovereign init`",
        )
    settings = loaded.guard if loaded is not None else GuardConfig()
    folder = Path() if loaded is None else loaded.resolve(Path())
    key = _key(out) if loaded is None else loaded.resolve(loaded.audit.token_key_file)
    build = build_digest(from_config(settings, folder=folder, policy=chosen))
    facts = {
        "policy": chosen.digest(),
        "recognisers": build,
        "token key": token_key(key).id,
        "sample": f"{share:g}",
    }
    return Plan(chosen, settings, folder.absolute(), key.absolute(), share), facts


def _key(out: Path) -> Path:
    """Without a configuration, the key of the tokens is made beside the findings."""
    file = out / "scan.key"
    if not file.exists():
        file.touch(mode=0o600, exist_ok=False)
        file.write_bytes(secrets.token_bytes(32))
    return file


def _share(sample: str | None) -> float:
    if sample is None:
        return 1.0
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", sample.strip())
    share = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if not 0 < share <= 1:
        raise ConfigError(f"{sample!r} is no share", hint="such as --sample 1%")
    return share


def _known(baseline: Path) -> frozenset[tuple[str, str]]:
    try:
        with baseline.open(encoding="utf-8") as rows:
            found = (json.loads(row) for row in rows)
            return frozenset((f["entity"], f["token"]) for f in found)
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{baseline}: is not the findings.jsonl of a scan") from None


def _write(
    state: State,
    out: Path,
    told: dict[str, Any],
    formats: tuple[str, ...],
    known: frozenset[tuple[str, str]] | None,
) -> None:
    """Each file whole, or not at all."""
    from datetime import UTC, datetime

    import sovereign
    from sovereign.cli.scan_files import whole
    from sovereign.scan.outputs import page, parquet, sarif

    def text(pieces: Iterable[str]) -> Callable[[IO[bytes]], object]:
        return lambda file: file.writelines(piece.encode() for piece in pieces)

    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    files: dict[str, Callable[[IO[bytes]], object]] = {
        "findings.jsonl": text(json.dumps(f) + "\n" for f in state.findings()),
        "summary.json": text([json.dumps(told, indent=2) + "\n"]),
        "report.html": text([page.page(told, made)]),
    }
    if "sarif" in formats:
        found = sarif.write(
            state.findings(),
            told["entities"],
            root=Path.cwd(),
            version=sovereign.__version__,
            unread=told["unread"],
            known=known,
        )
        files["findings.sarif"] = text(found)
    if "parquet" in formats:
        files["findings.parquet"] = lambda file: parquet.write(state.findings(), file)
    for name, write in files.items():
        whole(out / name, write)
