"""``sovereign tune key | verify | prove | forget``: what a passport says, and of whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sovereign.cli.tune_check import CONFIG, STORE
from sovereign.errors import ConfigError, PassportRefused, TuneError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

    from sovereign.tune.roll import Kind, Roll
    from sovereign.weights.passport import Passport

__all__ = [
    "TRUST",
    "forget_command",
    "key_command",
    "key_of",
    "keys_of",
    "prove_command",
    "verify_command",
]

MADE = ("adapter", "model")

TRUST = click.option(
    "--key",
    "trust",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A public key (PEM) to believe, instead of those of [tune].",
)


def key_of(config: Path, store: Path | None) -> Ed25519PrivateKey:
    """The key that signs: of [tune], or, for a store given by path, the one in it."""
    from sovereign.weights.passport import signing_key

    if store is not None:
        return signing_key(store / "passport.key")
    from sovereign.config import load_config

    loaded = load_config(config)
    return signing_key(loaded.resolve(loaded.tune.key_file))


@click.command("key")
@STORE
@CONFIG
def key_command(store: Path | None, config: Path) -> None:
    """Print the public key that signs passports, as PEM.

    For [tune].trust on other machines, and for cosign.
    """
    from sovereign.weights.passport import pem

    click.echo(pem(key_of(config, store).public_key()).decode(), nl=False)


@click.command("verify")
@click.argument("adapter", type=click.Path(path_type=Path))
@click.option("--base", help="The digest of the weights; otherwise those that the passport names.")
@click.option(
    "--proof", type=click.Path(path_type=Path), help="What `sovereign tune prove` printed."
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole statement.")
@TRUST
@CONFIG
def verify_command(
    adapter: Path,
    base: str | None,
    proof: Path | None,
    as_json: bool,
    trust: tuple[Path, ...],
    config: Path,
) -> None:
    """Hold ADAPTER, a folder, against its passport, and a proof against both.

    A folder that `sovereign tune export` wrote is held against its papers in the same way.
    """
    from sovereign.tune.card import guarantee
    from sovereign.weights.passport import MERGED, admit, admit_merged, admit_model, is_model, read

    keys = keys_of(config, trust)
    if (adapter / MERGED).exists():
        merged = admit_merged(adapter, keys)
        if as_json:
            click.echo(json.dumps(merged.predicate, indent=2, ensure_ascii=False))
            return
        click.echo(f"{adapter} is what {merged.signer[:12]} signed")
        click.echo(f"  base      {merged.predicate['base']['name']} {merged.base_digest[:12]}")
        kind = "adapter" if "adapter" in merged.predicate else "model"
        how = "merged in" if kind == "adapter" else "cast"
        click.echo(f"  {kind:<8}  {merged.digest[:12]}, {how}")
        return
    whole = is_model(adapter)
    if whole:
        passport = admit_model(adapter, keys)
        if base is not None and base != passport.base_digest:
            raise PassportRefused(
                f"{adapter}: was trained from weights {passport.base_digest[:12]}"
            )
    else:
        passport = read(adapter, keys)
        passport = admit(adapter, base or passport.base_digest, keys)
    if proof is not None:
        click.echo(_proved(proof, passport))
        return
    if as_json:
        click.echo(json.dumps(passport.predicate, indent=2, ensure_ascii=False))
        return
    said = passport.predicate
    train = said["data"]["train"]
    kind = "model" if whole else "adapter"
    click.echo(f"{kind} {passport.digest[:12]} is what {passport.signer[:12]} signed")
    click.echo(f"  base      {said['base']['name']} {passport.base_digest[:12]}")
    click.echo(f"  rows      {train['used']} of {train['read']}, roll {said['roll']['root'][:12]}")
    private = said["private"]
    found = ", ".join(f"{k} {n}" for k, n in private["entities"].items()) or "none found"
    click.echo(f"  personal  {private['action']}: {found}")
    click.echo(f"  differential privacy: {guarantee(said['privacy'])}")


@click.command("prove")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--id", "row_id", help="The id of a row.")
@click.option("--group", help="The group of rows: a patient, an account.")
@click.option(
    "--row", type=click.Path(path_type=Path), help="A file with one row, whose words are proved."
)
@TRUST
@CONFIG
def prove_command(
    run: Path,
    row_id: str | None,
    group: str | None,
    row: Path | None,
    trust: tuple[Path, ...],
    config: Path,
) -> None:
    """Print a proof that RUN, a folder, trained on something, or that it did not.

    The proof holds the salt of the run's roll and the value asked for: it is for an auditor, who
    checks it with `sovereign tune verify ADAPTER --proof FILE`, not for publication.
    """
    kind, value = _asked(row_id, group, row)
    roll = _roll(run, keys_of(config, trust))
    made = {
        "kind": kind,
        "value": value.decode(),
        "salt": roll.salt.hex(),
        **roll.prove(kind, value).encode(),
    }
    click.echo(json.dumps(made))


@click.command("forget")
@click.argument("row_id")
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="The folder that holds the runs' folders.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@TRUST
@CONFIG
def forget_command(
    row_id: str, runs: Path, as_json: bool, trust: tuple[Path, ...], config: Path
) -> None:
    """List the adapters that saw the row, or the group of rows, named ROW_ID.

    Nothing is deleted: what a model learnt goes away with the model. Exit status 1 if a run cannot
    say, since its roll is missing or is not the one that was signed.
    """
    keys = keys_of(config, trust)
    saw, silent = [], []
    made = (p for name in MADE for p in runs.glob(f"*/{name}"))
    folders = sorted({p.parent for p in made if p.is_dir()})
    if not folders:
        raise TuneError(f"{runs}: holds no run", hint="name the folder with --runs")
    for folder in folders:
        try:
            roll = _roll(folder, keys)
        except (PassportRefused, TuneError) as e:
            silent.append((folder, e.message))
            continue
        if roll.holds("id", row_id.encode()) or roll.holds("group", row_id.encode()):
            saw.append(folder)
    if as_json:
        click.echo(
            json.dumps({"saw": [str(p) for p in saw], "unknown": [str(p) for p, _ in silent]})
        )
    else:
        for folder in saw:
            click.echo(f"{_made(folder)}  saw it")
        click.echo(f"{len(saw)} of {len(folders)} adapters saw it")
    if silent:
        first, why = silent[0]
        raise TuneError(f"{len(silent)} of {len(folders)} runs cannot say: {first}: {why}")


def keys_of(config: Path, trust: tuple[Path, ...]) -> tuple[Ed25519PublicKey, ...]:
    """Whom to believe: those named, or those of [tune]. Raises :class:`ConfigError`."""
    from sovereign.weights.passport import public_key, trusted

    if trust:
        return tuple(public_key(path) for path in trust)
    from sovereign.config import load_config

    keys = trusted(load_config(config))
    if not keys:
        raise ConfigError(
            f"{config}: names no key to believe", hint="[tune].trust, or --key with a PEM file"
        )
    return keys


def _made(run: Path) -> Path:
    """The folder of what the run made: an adapter, or a model that was trained whole."""
    return next((run / name for name in MADE if (run / name).is_dir()), run / MADE[0])


def _roll(run: Path, keys: tuple[Ed25519PublicKey, ...]) -> Roll:
    from sovereign.tune.roll import FILE, Roll
    from sovereign.weights.passport import read

    passport = read(_made(run), keys)
    return Roll.load(run / FILE, passport.predicate["roll"]["root"])


def _asked(row_id: str | None, group: str | None, row: Path | None) -> tuple[Kind, bytes]:
    from sovereign.tune.roll import content_of
    from sovereign.tune.rows import read_rows

    if sum(given is not None for given in (row_id, group, row)) != 1:
        raise click.UsageError("give one of --id, --group and --row")
    if row_id is not None:
        return "id", row_id.encode()
    if group is not None:
        return "group", group.encode()
    assert row is not None
    rows, _ = read_rows(row)
    if len(rows) != 1:
        raise TuneError(f"{row}: holds {len(rows)} rows, and one is asked for")
    return "row", content_of(rows[0])


def _proved(file: Path, passport: Passport) -> str:
    from sovereign.tune.roll import Proof, verify

    try:
        said: Any = json.loads(file.read_bytes())
        kind, value = said["kind"], said["value"].encode()
        salt = bytes.fromhex(said["salt"])
    except OSError as e:
        raise TuneError(f"{file}: {e.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise TuneError(f"{file}: is no proof that `sovereign tune prove` wrote") from None
    roll = passport.predicate["roll"]
    proof = Proof.decode(said)
    inside = verify(proof, kind, value, salt=salt, root=roll["root"], size=roll["keys"])
    saw = "was trained on" if inside else "was not trained on"
    made = "adapter" if "adapter" in passport.predicate else "model"
    return f"{made} {passport.digest[:12]} {saw} the {kind} that the proof names"
