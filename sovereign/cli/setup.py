"""`sovereign init` and `sovereign check`: write a configuration, and say what it means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sovereign.cli.options import config_option

if TYPE_CHECKING:
    from sovereign.config import Config
    from sovereign.policy import Policy, Tables, Verb
    from sovereign.types import Action, Destination

__all__ = ["check_command", "init_command"]

TEMPLATE = """\
# sovereign.toml: the only configuration. Unknown keys are errors; `sovereign check` explains it.
# Relative paths are relative to this file. Secrets are named here, never written here.

[policy]
# Which kinds of data may go where. Shipped: {presets}.
# Or a file of your own that says  extends = "{preset}"  and only what differs:
# file = "policy.toml"
preset = "{preset}"

[gateway]
# Applications use http://HOST:PORT/v1 (OpenAI) or http://HOST:PORT (Anthropic) as their base URL.
host = "127.0.0.1"
port = 8080
# The model that answers what the policy keeps inside. Name one of [models] below.
# local_model = "inside"

[upstream.openai]
side = "hosted"
wire = "openai"
base_url = "https://api.openai.com/v1"
api_key_env = "OPENAI_API_KEY"
models = ["gpt-*", "o3*", "o4*", "text-embedding-*"]

[upstream.anthropic]
side = "hosted"
wire = "anthropic"
base_url = "https://api.anthropic.com"
api_key_env = "ANTHROPIC_API_KEY"
models = ["claude-*"]

# A model that you run. `sovereign weights import` brings it in, `sovereign tune run` adapts it.
# [models.inside]
# base = "smollm2-135m-instruct"
# adapter = "runs/healthcare/adapter"

[guard]
key_file = ".sovereign/surrogate.key"

[keys]
file = ".sovereign/keys.json"

[audit]
path = ".sovereign/audit"
key_file = ".sovereign/audit.key"
# With this key, and only with it, the log can be searched by value: keep it where the log is not.
token_key_file = ".sovereign/token.key"
# The log's name in its signed checkpoints: a host name of yours, and a path.
origin = "sovereign.local/audit"

[weights]
store = ".sovereign/weights"
lock = "sovereign.lock"
"""


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
@click.option("--preset", default="hipaa", show_default=True, help="The policy to start from.")
def init_command(folder: Path, preset: str) -> None:
    """Write a commented sovereign.toml and the keys it names."""
    from sovereign import policy, toml
    from sovereign.config import Config
    from sovereign.errors import ConfigError

    policy.load_policy(preset=preset)  # an unknown preset is refused before anything is written
    config = folder / "sovereign.toml"
    if config.exists():
        raise ConfigError(f"{config} is already there", hint="`sovereign check` explains it")
    text = TEMPLATE.format(preset=preset, presets=", ".join(policy.presets()))
    import tomllib

    toml.parse(tomllib.loads(text), Config, str(config))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _make_keys(folder / ".sovereign")
        _write(config, text.encode(), 0o644)
    except OSError as e:
        raise ConfigError(
            f"cannot write in {folder.absolute()}: {e.strerror}",
            hint="choose a folder that is yours: sovereign init FOLDER",
        ) from None
    click.echo(f"wrote {config} (policy: {preset}) and the keys in {folder / '.sovereign'}")
    click.echo(
        "keep .sovereign/*.key out of backups that others read; without them stand-ins cannot"
    )
    click.echo("be restored and the log cannot be continued")
    click.echo()
    click.echo("next:  sovereign check                    what happens to each kind of data")
    click.echo("       sovereign keys create --team NAME  a key for an application")
    click.echo("       sovereign gateway                  open the door")


def _make_keys(folder: Path) -> None:
    """Three keys of 32 random bytes each. A key that is already there is never replaced."""
    import secrets

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    _write(folder / ".gitignore", b"*\n", 0o600)
    for name in ("audit.key", "surrogate.key", "token.key"):
        if not (folder / name).exists():
            _write(folder / name, secrets.token_bytes(32), 0o600)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write whole or not at all."""
    import os

    staged = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


@click.command("check")
@config_option
@click.option("--json", "as_json", is_flag=True, help="The same for machines.")
def check_command(config: Path, as_json: bool) -> None:
    """Say what happens to each kind of data at each destination."""
    import json

    from sovereign.config import load_config
    from sovereign.policy import load_policy

    loaded = load_config(config)
    file = loaded.policy.file
    policy = load_policy(
        preset=loaded.policy.preset, file=loaded.resolve(file) if file is not None else None
    )
    _unknown_destinations(loaded, policy)
    places = [_place(loaded, policy, d) for d in loaded.destinations()]
    warnings = _warnings(loaded, policy)
    if as_json:
        report = {
            "policy": policy.name,
            "digest": policy.digest(),
            "destinations": places,
            "warnings": warnings,
        }
        click.echo(json.dumps(report, indent=2))
        return
    click.echo(f"policy {policy.name}: {policy.summary}")
    click.echo(f"digest {policy.digest()}")
    for place in places:
        click.echo(f"\n{place['name']} ({place['side']}; {place['where']})")
        for line in place["says"]:
            click.echo(click.wrap_text(line, 96, "  ", "    "))
    if not places:
        click.echo("\nno destination is configured: nothing can leave, and nothing can be answered")
    for warning in warnings:
        click.echo(f"\nwarning: {warning}")


def _unknown_destinations(config: Config, policy: Policy) -> None:
    """A verb for a destination that does not exist protects nothing: that is an error."""
    from sovereign.errors import ConfigError

    known = [d.name for d in config.destinations()]
    named = [(f"destination.{name}", name) for name in policy.destination]
    for team, own in policy.team.items():
        named += [(f"team.{team}.destination.{name}", name) for name in own.destination]
    for table, name in named:
        if name not in known:
            raise ConfigError(
                f"policy {policy.name}: [{table}] is no destination of {config.file}",
                hint=f"there are: {', '.join(known) or 'none'}",
            )


def _place(config: Config, policy: Policy, to: Destination) -> dict[str, Any]:
    from sovereign.entities import describe

    if to.name in config.upstream:
        upstream = config.upstream[to.name]
        where = f"{upstream.base_url}; models {', '.join(upstream.models)}"
    else:
        model = config.models[to.name]
        adapter = f" + {model.adapter}" if model.adapter else ""
        where = f"{model.base}{adapter}, run here"
    groups, other = _groups(policy, policy, to)
    says = _sentences(config, policy, to, groups, other)
    for team in sorted(policy.team):
        own = policy.for_team(team)
        differs, theirs = _groups(policy, own, to, unlike=policy)
        for action in sorted(differs, reverse=True):
            kinds = ", ".join(describe(e) for e in differs[action])
            says.append(f"for team {team}: {_meaning(config)[action]}: {kinds}")
        if theirs is not other:
            says.append(f"for team {team}: {_meaning(config)[theirs]}: every kind not named here")
    return {
        "name": to.name,
        "side": to.side,
        "where": where,
        "entities": {a.verb: names for a, names in sorted(groups.items())},
        "other": other.verb,
        "unreadable": policy.unreadable if to.side == "hosted" else "block",
        "says": says,
    }


def _groups(
    policy: Policy, own: Policy, to: Destination, unlike: Policy | None = None
) -> tuple[dict[Action, list[str]], Action]:
    """Every entity that ``policy`` names by what ``own`` does to it at ``to``, without those that
    ``unlike`` treats in the same way; and what happens to all others."""
    groups: dict[Action, list[str]] = {}
    for entity in sorted(_entities(policy)):
        action = own.action(entity, to)
        if unlike is None or unlike.action(entity, to) is not action:
            groups.setdefault(action, []).append(entity)
    return groups, own.action("", to)


def _entities(policy: Policy) -> set[str]:
    from sovereign.entities import DESCRIPTIONS
    from sovereign.policy import EVERYTHING_ELSE

    return set(DESCRIPTIONS).union(*_tables(policy)) - {EVERYTHING_ELSE}


def _unfound(config: Config, policy: Policy) -> list[str]:
    """Entities that the policy names and no recogniser of the toolkit finds: a verb for a name that
    was written wrong protects nothing. A plugin may find more than we know of."""
    import difflib

    from sovereign.entities import DESCRIPTIONS
    from sovereign.guard.recognizers.rules.forms import FORMS
    from sovereign.policy import load_policy, presets

    known = set(DESCRIPTIONS) | {form.entity for form in FORMS}
    known.update(*(_named(load_policy(preset=name)) for name in presets()))
    others = config.guard.plugins or config.guard.presidio or config.guard.presidio_registry
    found = []
    for name in sorted(_named(policy) - known):
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
        if near or not others:
            meant = f"; did you mean {near[0]}?" if near else ""
            found.append(f"the policy names {name}, which nothing here finds{meant}")
    return found


def _named(policy: Policy) -> set[str]:
    """Every entity that it says something of."""
    from sovereign.policy import EVERYTHING_ELSE

    together = (e for c in policy.combination for member in c.entities for e in member)
    return set(together).union(*_tables(policy)) - {EVERYTHING_ELSE}


def _tables(policy: Policy) -> list[dict[str, Verb]]:
    """Every table of verbs, the teams' too."""
    found = []
    every: list[Tables] = [policy, *policy.team.values()]
    for rules in every:
        found += [rules.hosted, rules.local, *rules.destination.values()]
    return found


def _meaning(config: Config) -> dict[Action, str]:
    from sovereign.types import Action

    return {
        Action.BLOCK: "refuses the request",
        Action.LOCAL: f"keeps the whole conversation inside ({_answered(config)})",
        Action.PSEUDONYMIZE: "replaced by a stand-in, restored in the reply",
        Action.MASK: "replaced by its kind, not restored",
        Action.ALLOW: "passes as it is",
    }


def _answered(config: Config) -> str:
    inside = config.gateway.local_model
    said = f"answered by {inside}" if inside else "refused: no local_model answers it"
    others = config.gateway.local_models.items()
    return "; ".join([said, *(f"{role} by {name}" for role, name in others)])


def _sentences(
    config: Config,
    policy: Policy,
    to: Destination,
    groups: dict[Action, list[str]],
    other: Action,
) -> list[str]:
    from sovereign.entities import describe
    from sovereign.types import Action

    meaning = _meaning(config)
    lines = []
    if to.side == "local" and set(groups) == {Action.ALLOW} and other is Action.ALLOW:
        lines.append("everything passes as it is: the data stays on your machines")
    else:
        for action in sorted({*groups, other}, reverse=True):
            kinds = [describe(e) for e in groups.get(action, [])]
            if action is other:
                kinds.append("every kind not named here")
            lines.append(f"{meaning[action]}: {', '.join(kinds)}")
    for combination in policy.combination if to.side == "hosted" else ():
        if combination.verb != "allow":
            who = [" or ".join(describe(e) for e in member) for member in combination.entities]
            near = f"within {combination.within} characters" if combination.within else ""
            where = near or "in one request"
            does = meaning[Action.from_verb(combination.verb)]
            lines.append(f"together {where} ({combination.name}): {' + '.join(who)}: {does}")
    unread = policy.unreadable if to.side == "hosted" else "block"
    lines.append(
        "what cannot be read (images, audio, files, token ids, unknown fields of binary data): "
        + ("refused" if unread == "block" else f"kept inside ({_answered(config)})")
    )
    return lines


def _warnings(config: Config, policy: Policy) -> list[str]:
    import os

    from sovereign.types import Action

    found = []
    for name, upstream in config.upstream.items():
        if upstream.api_key_env and not os.environ.get(upstream.api_key_env):
            found.append(f"{upstream.api_key_env} is not set: requests to {name} will be refused")
        if upstream.side == "hosted" and upstream.base_url.startswith("http://"):
            found.append(f"upstream {name} is reached without TLS")
    found += _unfound(config, policy)
    verbs = {verb for table in _tables(policy) for verb in table.values()}
    keeps = Action.LOCAL.verb in verbs or policy.unreadable == "local"
    if keeps and config.gateway.local_model is None:
        found.append("the policy keeps data inside, but gateway.local_model names nobody: refused")
    for key in (config.guard.key_file, config.audit.key_file, config.audit.token_key_file):
        path = config.resolve(key)
        if not path.exists():
            found.append(f"{path} is not there: `sovereign init` in a new folder makes one")
        elif path.stat().st_mode & 0o077:
            found.append(f"{path} can be read by others: chmod 600 {path}")
    return found
