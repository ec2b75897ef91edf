"""``sovereign keys``: who may come through the door, and how much they may use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from sovereign.config import Config
    from sovereign.gateway.keys import Key, KeyRing

__all__ = ["keys_command"]

F = TypeVar("F", bound=Callable[..., Any])
_SPAN = re.compile(r"(\d{1,5})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_COUNTS = (
    *("requests_per_minute", "tokens_per_minute", "concurrent"),
    *("requests_per_month", "tokens_per_month"),
)


class _Span(click.ParamType[float]):
    """``90d``, ``24h``, ``30m`` or ``10s``, as seconds."""

    name = "span"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        match = _SPAN.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            self.fail("a number and s, m, h or d, such as 90d", param, ctx)
        return int(match[1]) * float(_SECONDS[match[2]])


def _config(function: F) -> F:
    return click.option(
        "--config",
        "path",
        type=click.Path(path_type=Path),
        default="sovereign.toml",
        show_default=True,
        help="The configuration.",
    )(function)


def _json(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")(function)


def _limits(function: F) -> F:
    for name in reversed(_COUNTS):
        option = click.option(
            f"--{name.replace('_', '-')}", name, type=click.IntRange(1), help="Its own limit."
        )
        function = option(function)
    money = click.option(
        "--money-per-month",
        type=click.FloatRange(0, min_open=True),
        help="In the currency of the price file that [limits] names.",
    )
    return money(function)


@click.group("keys", short_help="Create, list, rotate and revoke API keys of the gateway.")
def keys_command() -> None:
    """Create, list, rotate and revoke API keys of the gateway.

    The file holds hashes only. A running gateway sees a change at the next request.
    """


@keys_command.command("create")
@click.option("--team", required=True, help="Whose key it is; in every audit record.")
@click.option(
    "--models", default="", help="Only these models or patterns, with commas: 'gpt-4o,llama-*'."
)
@click.option(
    "--destinations", default="", help="Only these destinations or patterns, with commas."
)
@click.option("--expires", type=_Span(), metavar="SPAN", help="It opens nothing after 90d, or 12h.")
@click.option(
    "--certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="It opens only with this client certificate (PEM), over mTLS.",
)
@_limits
@_json
@_config
def create(
    team: str,
    models: str,
    destinations: str,
    expires: float | None,
    certificate: Path | None,
    as_json: bool,
    path: Path,
    **limits: Any,
) -> None:
    """Create a key and print it, once.

    Its limits stand in for [limits].each_key; what is not limited there or here, is not limited.
    """
    from sovereign.running import Allowance

    config, ring = _open(path)
    allowed = Allowance.model_validate({k: v for k, v in limits.items() if v is not None})
    if allowed.money_per_month is not None and config.limits.prices is None:
        from sovereign.errors import ConfigError

        raise ConfigError(
            "--money-per-month needs a price file", hint='[limits] prices = "prices.toml"'
        )
    new = ring.prepare(
        team,
        _words(models),
        destinations=_words(destinations),
        expires_s=expires,
        limits=allowed,
        certificate=None if certificate is None else _fingerprint(certificate),
    )
    key = new.key
    # Recorded first: a key that nobody recorded must not open anything.
    _record(
        config,
        "key.create",
        key,
        models=list(key.models) or None,
        destinations=list(key.destinations) or None,
        expires=key.expires,
        certificate=key.certificate,
        limits=_recorded(allowed.model_dump(exclude_none=True)) or None,
    )
    ring.add(key)
    if as_json:
        click.echo(json.dumps({**_shown(key), "key": new.secret}))
        return
    click.echo(new.secret)
    click.echo(f"{key.id} for team {team}; the key is shown only this once", err=True)


@keys_command.command("list")
@click.option("--usage", is_flag=True, help="Also what each has used this month, where limited.")
@_json
@_config
def list_(usage: bool, as_json: bool, path: Path) -> None:
    """List keys; never their secrets."""
    config, ring = _open(path)
    keys = [_shown(k) for k in ring.entries()]
    if usage:
        for key in keys:
            key["used"] = _used(config, f"key {key['id']}")
    if as_json:
        click.echo(json.dumps(keys))
        return
    if not keys:
        click.echo("no keys; `sovereign keys create --team NAME` makes one", err=True)
    for key in keys:
        said = [f"{key['id']}  {key['team']:<20} {key['created']}"]
        said.append(",".join(key["models"]) or "every model")
        if key["destinations"]:
            said.append(f"to {','.join(key['destinations'])}")
        said += [f"{name} {n:g}" for name, n in key["limits"].items()]
        if key["certificate"]:
            said.append(f"certificate {key['certificate'][:12]}")
        if usage and key["used"]:
            said.append("used " + ", ".join(f"{n} {what}" for what, n in key["used"].items()))
        said.append(key["state"])
        click.echo("  ".join(said))


@keys_command.command("rotate")
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap", type=_Span(), default="0s", show_default=True, help="The old secret opens so long."
)
@_json
@_config
def rotate(key_id: str, overlap: float, as_json: bool, path: Path) -> None:
    """Give a key a new secret and print it, once. Scope, limits and id stay."""
    config, ring = _open(path)
    found = ring.find(key_id)
    # Recorded first, as in create; that the record comes before the change is no harm.
    until = None if overlap <= 0 else ring.moment(overlap)
    _record(config, "key.rotate", found, until=until)
    new = ring.rotate(key_id, overlap_s=overlap)
    if as_json:
        click.echo(json.dumps({**_shown(new.key), "key": new.secret}))
        return
    click.echo(new.secret)
    old = f"the old secret opens until {new.key.before_until}" if overlap else "the old one is dead"
    click.echo(f"{new.key.id}: {old}; the new one is shown only this once", err=True)


@keys_command.command("revoke")
@click.argument("key_id", metavar="ID")
@_json
@_config
def revoke(key_id: str, as_json: bool, path: Path) -> None:
    """Close a key for good."""
    config, ring = _open(path)
    # Closed first: if the log cannot take the record, the key must be dead all the same.
    key = ring.revoke(key_id)
    _record(config, "key.revoke", key)
    click.echo(json.dumps(_shown(key)) if as_json else f"{key.id} is revoked")


def _open(path: Path) -> tuple[Config, KeyRing]:
    from sovereign.config import load_config
    from sovereign.gateway.keys import KeyRing

    config = load_config(path)
    return config, KeyRing(config.resolve(config.keys.file))


def _record(config: Config, kind: str, key: Key, **fields: Any) -> None:
    from sovereign.audit import record
    from sovereign.audit.log import open_log

    with open_log(config, "keys") as log:
        log.append(record.event(kind, key_id=key.id, team=key.team, **fields))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _recorded(limits: dict[str, Any]) -> dict[str, int]:
    """Records hold integers only: money in millionths."""
    money = limits.pop("money_per_month", None)
    return limits if money is None else {**limits, "micros_per_month": round(money * 1e6)}


def _fingerprint(certificate: Path) -> str:
    import hashlib
    import ssl

    from sovereign.errors import ConfigError

    try:
        der = ssl.PEM_cert_to_DER_cert(certificate.read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise ConfigError(f"{certificate}: no certificate in PEM") from None
    return hashlib.sha256(der).hexdigest()


def _used(config: Config, scope: str) -> dict[str, Any]:
    from sovereign.gateway.usage import UsageFile

    file = config.resolve(config.limits.file)
    if not file.exists():
        return {}
    usage = UsageFile(file)
    requests, used = usage.month(scope)
    usage.close()
    said: dict[str, Any] = {"requests": requests, "tokens": used.tokens}
    return {**said, "money": used.money / 1e9} if used.money else said if requests else {}


def _shown(key: Key) -> dict[str, Any]:
    import time

    from sovereign.gateway.keyfile import MOMENT

    now = time.strftime(MOMENT, time.gmtime())
    state = f"revoked {key.revoked}" if key.revoked else "live"
    if not key.revoked and key.expires:
        state = f"expired {key.expires}" if key.expired(now) else f"live until {key.expires}"
    return {
        "id": key.id,
        "team": key.team,
        "models": list(key.models),
        "destinations": list(key.destinations),
        "limits": {} if key.limits is None else key.limits.model_dump(exclude_none=True),
        "certificate": key.certificate,
        "created": key.created,
        "expires": key.expires,
        "rotated": key.rotated,
        "revoked": key.revoked,
        "state": state,
    }
