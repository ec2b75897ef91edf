"""Work in progress is never mistaken for the thing itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from sovereign.errors import NotAdmitted
from sovereign.weights.staging import copy, staging


def test_a_staging_folder_and_its_lock_are_gone_after_a_failure(tmp_path: Path) -> None:
    """Whatever went wrong inside."""
    with pytest.raises(RuntimeError), staging(tmp_path) as work:
        (work / "x").write_text("x")
        raise RuntimeError
    assert list((tmp_path / ".staging").iterdir()) == []


def test_the_work_of_a_living_process_is_not_swept(tmp_path: Path) -> None:
    """Two imports at once do not delete each other's files."""
    with staging(tmp_path) as one, staging(tmp_path) as two:
        assert one.is_dir()
        assert two.is_dir()


def test_a_lock_that_goes_while_it_is_looked_at_stops_nobody(tmp_path: Path) -> None:
    """Another process ended after the locks were listed: a name that leads nowhere."""
    with staging(tmp_path) as work:
        (tmp_path / ".staging" / "gone.lock").symlink_to("nowhere")
        with staging(tmp_path) as other:
            assert other.is_dir()
        assert work.is_dir()


def test_a_link_is_not_copied(tmp_path: Path) -> None:
    """It may have become one after it was admitted."""
    (tmp_path / "l").symlink_to("/etc/passwd")
    with pytest.raises(NotAdmitted):
        copy(tmp_path / "l", tmp_path / "out")
    assert not (tmp_path / "out").exists()
