"""``sovereign weights bundle``, ``unbundle``, ``sign``, ``verify --key`` and ``bom``."""

from __future__ import annotations

from pathlib import Path

import click

from sovereign.cli.progress import Bytes
from sovereign.cli.weights import store_of, where
from sovereign.errors import WeightsError

__all__ = ["COMMANDS"]

FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("bundle")
@click.argument("names", nargs=-1, required=True)
@click.option("--out", type=FOLDER, required=True, help="The folder that will be carried.")
@click.option("--part", default="4gb", show_default=True, help="4gb, dvd, bluray, or bytes.")
@click.option("--key", type=FILE, help="Private key (PEM, ECDSA) that signs it.")
@click.option("--public-key", "keys", type=FILE, multiple=True, help="Public keys to take along.")
@click.option("--with-wheels", type=FOLDER, help="A folder of wheels to take along.")
@where
def bundle_command(
    names: tuple[str, ...],
    out: Path,
    part: str,
    key: Path | None,
    keys: tuple[Path, ...],
    with_wheels: Path | None,
    config: Path,
    store: Path | None,
) -> None:
    """Write NAMES into a folder that goes across an air gap: parts, lock, manifest, papers.

    Every file is held against the lock on its way out. A bundle that died is gone on with by the
    same command.
    """
    from sovereign.weights.bundle import bundle
    from sovereign.weights.manifest import part_size

    beside = [(f"keys/{k.name}", k) for k in keys]
    if with_wheels is not None:
        wheels = sorted(with_wheels.glob("*.whl"))
        if not wheels:
            raise WeightsError(f"{with_wheels}: holds no wheels", hint="pip download -d DIR …")
        beside += [(f"wheels/{w.name}", w) for w in wheels]
    signer = None
    if key is not None:
        from sovereign.weights.signing import private_key

        signer = private_key(key)
    with store_of(config, store, recorded=True, source="weights") as there, Bytes() as bar:
        made = bundle(
            there, names, out, limit=part_size(part), key=signer, beside=beside, progress=bar
        )
    size = sum(f.size for f in made.files)
    signed = "signed" if key else "not signed"
    click.echo(f"{out}  {len(made.parts)} parts, {size / 1e6:.0f} MB of weights, {signed}")


@click.command("unbundle")
@click.argument("path", type=FOLDER)
@click.option("--key", type=FILE, help="Public key (PEM) of who must have signed it.")
@click.option("--unsigned", is_flag=True, help="Do not ask who made it.")
@click.option("--replace", is_flag=True, help="Take names over from other weights.")
@where
def unbundle_command(
    path: Path, key: Path | None, unsigned: bool, replace: bool, config: Path, store: Path | None
) -> None:
    """Import the bundle in the folder PATH. All of it is verified before anything is in the store.

    An import that died, or that waits for the next disc, is gone on with by the same command.
    """
    from sovereign.weights.signing import public_key
    from sovereign.weights.unbundle import unbundle

    if (key is None) == (not unsigned):
        raise WeightsError(
            "nothing says who must have signed the bundle",
            hint="--key PUBLIC.pem that you got another way than with the bundle; or --unsigned",
        )
    signer = public_key(key) if key else None
    with store_of(config, store, recorded=True, source="weights") as there, Bytes() as bar:
        entries = unbundle(there, path, key=signer, replace=replace, progress=bar)
    for entry in entries:
        click.echo(f"{entry.name}  {entry.digest[:12]}  {entry.size / 1e6:.0f} MB, verified")


@click.command("sign")
@click.argument("name")
@click.option("--key", type=FILE, required=True, help="Private key (PEM, ECDSA).")
@click.option("--out", type=FILE, help="Where the signature goes; NAME.sig otherwise.")
@where
def sign_command(name: str, key: Path, out: Path | None, config: Path, store: Path | None) -> None:
    """Sign NAME in OpenSSF's model-signing format, after verifying it."""
    from sovereign.weights import signing
    from sovereign.weights.lock import write_atomically

    signer = signing.private_key(key)
    with store_of(config, store, recorded=True, source="weights") as there, Bytes() as bar:
        folder = there.get(name, progress=bar)
        raw = signing.sign(folder.name, there.entry(name).files, signer)
    target = out or Path(f"{name}.sig")
    write_atomically(target, raw)
    click.echo(f"{target}  signs {folder}")


@click.command("bom")
@click.argument("name")
@click.option("--spdx", "as_spdx", is_flag=True, help="SPDX 3.0.1 instead.")
@where
def bom_command(name: str, as_spdx: bool, config: Path, store: Path | None) -> None:
    """Print NAME's bill of materials: CycloneDX 1.7, an ML-BOM. The weights are not verified."""
    from datetime import UTC, datetime

    from sovereign.weights.bom import bom
    from sovereign.weights.described import describe
    from sovereign.weights.spdx import spdx

    with store_of(config, store, recorded=False, source="weights") as there:
        entry = there.entry(name)
        said = describe(entry, there.folder(entry))
    made = spdx(entry, said, datetime.now(UTC)) if as_spdx else bom(entry, said)
    click.echo(made.decode(), nl=False)


COMMANDS: tuple[click.Command, ...] = (bundle_command, unbundle_command, sign_command, bom_command)
