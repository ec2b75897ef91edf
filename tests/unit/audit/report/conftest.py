"""Runs an archive as an outsider does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cryptography
import pytest

from sovereign.audit import verify
from sovereign.audit.report import tally
from sovereign.audit.report.archive import CHECK


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cryptography` and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    site = Path(cryptography.__file__).parent.parent
    for name in ("cryptography", "cffi", "pycparser"):
        if (site / name).exists():
            (folder / name).symlink_to(site / name)
    for file in site.glob("_cffi_backend*"):
        (folder / file.name).symlink_to(file)
    return folder


@pytest.fixture
def run(bare: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run an archive as an outsider would: isolated, and without the toolkit anywhere."""

    def run(archive: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = (
            "import runpy, sys\n"
            f"sys.path.append({str(bare)!r})\n"
            "try:\n    import sovereign\nexcept ImportError:\n    pass\n"
            "else:\n    sys.exit('the toolkit is here')\n"
            f"sys.argv = {[str(archive), *arguments]!r}\n"
            f"runpy.run_path({str(archive)!r}, run_name='__main__')\n"
        )
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", program],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.fixture
def check(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the checker that one has, and not an archive's own, on an archive."""
    for module in (CHECK, Path(tally.__file__), Path(verify.__file__)):
        shutil.copy(module, tmp_path / module.name)

    def check(archive: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run(tmp_path / CHECK.name, str(archive), *arguments)

    return check
