"""`sovereign doctor`: what is installed, what device there is, what would reach the network.

The network answer is measured, not asserted: each room is started in a process of its own whose
every attempt to connect or to look a host name up is counted by Python's audit hooks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

__all__ = ["doctor_command"]

EXTRAS = {
    "core": ["click", "pydantic", "cryptography", "rfc8785", "rich"],
    "guard": ["presidio-analyzer", "numpy", "httpx2"],
    "gateway": ["starlette", "uvicorn", "httptools"],
    "tune": ["torch", "transformers", "peft", "accelerate", "bitsandbytes", "datasets"],
    "serve": ["torch", "transformers", "peft", "starlette", "uvicorn"],
    "report": ["weasyprint", "pyarrow"],
}

PROBE = """
import sys
tried = []
def hook(event, args):
    if event in ("socket.connect", "socket.sendto"):
        if isinstance(args[1], tuple):
            tried.append(f"{event} {args[1][0]}:{args[1][1]}")
    elif event == "socket.getaddrinfo" and args[0] not in (None, "localhost", "127.0.0.1"):
        tried.append(f"{event} {args[0]}")
sys.addaudithook(hook)
"""

PROBES = {
    "guard": (
        "guard",
        "from sovereign.guard import Guard\n"
        "from sovereign.config import Config, GuardConfig, PolicyConfig\n"
        "from sovereign.guard.recognizers import from_config\n"
        "from sovereign.policy import load_policy\n"
        "policy = load_policy(preset='hipaa')\n"
        "guard = Guard(policy, from_config(GuardConfig()), key=b'k' * 32)\n"
        "guard.canary()\n",
    ),
    "gateway": ("gateway", "import sovereign.gateway.app\n"),
    "audit": ("core", "import sovereign.audit.log, sovereign.audit.verify\n"),
    "tune": ("tune", "import sovereign.tune.train\n"),
    "report": (
        "report",
        "from sovereign.audit.report.pdf import pdf\npdf('<!doctype html><title>x</title><p>x')\n",
    ),
    "serve": ("serve", "import sovereign.serve.supervise, sovereign.serve.engines.transformers\n"),
}


@dataclass(frozen=True, slots=True)
class Probe:
    """What one room tried to reach when it was started."""

    room: str
    tried: list[str]
    error: str


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="The same for machines.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=Path("sovereign.toml"),
    show_default=True,
    help="Named to list the hosts that it lets the gateway reach.",
)
def doctor_command(as_json: bool, config: Path) -> None:
    """Say what is installed, and what would reach the network."""
    import json
    import sys

    installed = _installed()
    machine = _machine()
    named = _named_hosts(config)
    probes = _probe_all(installed, quiet=as_json)
    healthy = all(not p.tried and not p.error for p in probes)
    if as_json:
        report = {
            "installed": installed,
            "machine": machine,
            "configured_hosts": named,
            "network": {p.room: {"tried": p.tried, "error": p.error} for p in probes},
            "healthy": healthy,
        }
        click.echo(json.dumps(report, indent=2))
    else:
        _print(installed, machine, named, probes)
    if not healthy:
        sys.exit(1)


def _print(
    installed: dict[str, dict[str, str | None]],
    machine: dict[str, str],
    named: list[str],
    probes: list[Probe],
) -> None:
    click.echo("installed")
    for extra, packages in installed.items():
        missing = [name for name, version in packages.items() if version is None]
        if missing:
            how = f"pip install 'sovereign-toolkit[{extra}]'"
            click.echo(f"  {extra:8} no: {', '.join(missing)} missing; {how}")
        else:
            click.echo(f"  {extra:8} " + ", ".join(f"{n} {v}" for n, v in packages.items()))
    click.echo("machine")
    for key, value in machine.items():
        click.echo(f"  {key:8} {value}")
    click.echo("network")
    for probe in probes:
        if probe.error:
            click.echo(f"  {probe.room:8} does not start: {probe.error}")
        elif probe.tried:
            click.echo(f"  {probe.room:8} TRIED TO REACH {', '.join(probe.tried)}")
        else:
            click.echo(f"  {probe.room:8} started, reached for nothing")
    click.echo(f"  sovereign.toml lets the gateway reach: {', '.join(named) or 'nothing'}")


def _installed() -> dict[str, dict[str, str | None]]:
    from importlib.metadata import PackageNotFoundError, version

    def there(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return {extra: {name: there(name) for name in names} for extra, names in EXTRAS.items()}


def _machine() -> dict[str, str]:
    import os
    import platform
    import shutil

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}, "
        f"Python {platform.python_version()}",
        "cpu": f"{len(os.sched_getaffinity(0))} cores",
        "memory": f"{memory:.0f} GiB",
        "disk": f"{free:.0f} GiB free here",
        "device": _device(),
        "fence": _fence(),
    }


def _device() -> str:
    """The accelerators, asked of their own tool: importing torch would cost seconds."""
    import shutil
    import subprocess

    if shutil.which("nvidia-smi") is None:
        return "CPU (no NVIDIA driver here)"
    asked = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    return "; ".join(answer.stdout.split("\n")).strip("; ") or "CPU (nvidia-smi finds no GPU)"


def _fence() -> str:
    """Whether engines can run in an empty network namespace on this kernel."""
    import shutil
    import subprocess

    if shutil.which("unshare") is None:
        return "no `unshare` program: engines share this machine's network"
    tried = subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False)
    if tried.returncode == 0:
        return "engines run in an empty network namespace"
    return "the kernel permits no user namespaces: engines share this machine's network"


def _named_hosts(config: Path) -> list[str]:
    from sovereign.config import load_config

    if not config.exists():
        return []
    return [u.base_url for u in load_config(config).upstream.values()]


def _probe_all(installed: dict[str, dict[str, str | None]], *, quiet: bool) -> list[Probe]:
    from rich.console import Console
    from rich.progress import Progress

    probes = []
    ready = [
        (room, code)
        for room, (extra, code) in PROBES.items()
        if None not in installed[extra].values()
    ]
    with Progress(console=Console(stderr=True), transient=True, disable=quiet) as progress:
        task = progress.add_task("starting each room", total=len(ready))
        for room, code in ready:
            probes.append(_probe(room, code))
            progress.advance(task)
    return probes


def _probe(room: str, code: str) -> Probe:
    import json
    import subprocess
    import sys

    script = f"{PROBE}\n{code}\nimport json\nprint('\\n' + json.dumps(tried))"
    run: Any = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120
    )
    if run.returncode != 0:
        return Probe(room, [], run.stderr.strip().rsplit("\n", 1)[-1])
    return Probe(room, json.loads(run.stdout.strip().rsplit("\n", 1)[-1]), "")
