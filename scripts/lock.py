"""Keeps the locked requirements true to pyproject.toml.

    scripts/lock.py             resolve anew (needs the package index)
    scripts/lock.py --check     offline: every requirement of an extra is pinned by its lock

requirements/gateway.txt   hashes of all that runs in the gateway's process:
                           pip install --require-hashes -r requirements/gateway.txt
requirements/constraints.txt   one version of everything, for scripts/env
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
UV_PIN = "uv==0.13.9"
COMMON = ["--quiet", "--universal", "--python-version", "3.11", "--no-header"]


def resolve() -> None:
    """Write both locks. The gateway's is resolved under the constraints, so they agree."""
    constraints = ROOT / "requirements" / "constraints.txt"
    _uv("--extra", "dev", "--no-annotate", "-o", str(constraints))
    lines = sorted({*constraints.read_text().splitlines(), UV_PIN})
    constraints.write_text("\n".join(lines) + "\n")
    gateway = ROOT / "requirements" / "gateway.txt"
    _uv("--extra", "gateway", "--generate-hashes", "-c", str(constraints), "-o", str(gateway))


def _uv(*arguments: str) -> None:
    subprocess.run(
        [
            Path(sys.executable).with_name("uv"),
            "pip",
            "compile",
            "pyproject.toml",
            *COMMON,
            *arguments,
        ],
        cwd=ROOT,
        check=True,
    )


def problems() -> list[str]:
    """What the locks miss, one line each. Reads files only."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    found = []
    locks = {
        "constraints.txt": _pins("constraints.txt"),
        "gateway.txt": _pins("gateway.txt"),
    }
    for lock, extra in (("constraints.txt", "dev"), ("gateway.txt", "gateway")):
        for requirement in [*project["dependencies"], *_expand(extras, extra)]:
            wanted = Requirement(requirement)
            name = canonicalize_name(wanted.name)
            pinned = locks[lock].get(name)
            if pinned is None or not wanted.specifier.contains(pinned, prereleases=True):
                found.append(
                    f"requirements/{lock}: {requirement} is not met ({pinned}); scripts/lock.py"
                )
    for name, version in locks["gateway.txt"].items():
        if locks["constraints.txt"].get(name) != version:
            found.append(f"requirements/gateway.txt: {name} differs from constraints.txt")
    return found


def _expand(extras: dict[str, list[str]], extra: str) -> list[str]:
    """The requirements of an extra, with the extras of our own that it names followed."""
    found = []
    for requirement in extras[extra]:
        parsed = Requirement(requirement)
        if parsed.name == "sovereign-toolkit":
            for inner in parsed.extras:
                found += _expand(extras, inner)
        else:
            found.append(requirement)
    return found


def _pins(lock: str) -> dict[str, str]:
    text = (ROOT / "requirements" / lock).read_text()
    pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in pins}


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        missing = problems()
        print("\n".join(missing), end="\n" if missing else "")
        sys.exit(bool(missing))
    resolve()
