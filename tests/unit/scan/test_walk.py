"""Every file once, in one order; what is none is named."""

from __future__ import annotations

import os
from pathlib import Path

from sovereign.scan.walk import Found, Skipped, walk


def test_files_are_found_once_in_one_order_and_the_rest_is_named(tmp_path: Path) -> None:
    """Links to folders above, second names, dead links, sockets' cousins, and our own output."""
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.log").write_text("x")
    (tmp_path / "a.log").write_text("a")
    (tmp_path / "b" / "up").symlink_to(tmp_path)
    (tmp_path / "b" / "again").symlink_to(tmp_path / "a.log")
    (tmp_path / "dead").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "findings.jsonl").write_text("{}")
    there = list(walk([tmp_path, tmp_path / "b", tmp_path / "gone"], leave=[tmp_path / "out"]))
    names = [Path(f.path).name for f in there if isinstance(f, Found)]
    assert names == ["a.log", "x.log"]
    reasons = {Path(s.path).name: s.reason for s in there if isinstance(s, Skipped)}
    assert reasons == {
        "again": "a link to what is scanned elsewhere",
        "up": "a link to what is scanned elsewhere",
        "dead": "a link to nothing",
        "pipe": "neither a file nor a folder",
        "gone": "it is not there",
    }
    assert there == list(
        walk([tmp_path, tmp_path / "b", tmp_path / "gone"], leave=[tmp_path / "out"])
    )


def test_a_name_that_is_no_text_is_told_and_not_fatal(tmp_path: Path) -> None:
    """Any bytes can be a name; the others are scanned."""
    (tmp_path / "a.log").write_text("x")
    with open(os.fsencode(tmp_path) + b"/b\xff.log", "wb"):  # noqa: PTH123 - bytes
        pass
    found, skipped = walk([tmp_path])
    assert isinstance(found, Found)
    assert isinstance(skipped, Skipped)
    assert skipped.reason == "its name is not UTF-8"
    assert skipped.path.endswith("b\\udcff.log")
