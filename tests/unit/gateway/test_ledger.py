"""Who left what where: the ledger, and the endpoints that use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sovereign.errors import ConfigError
from sovereign.gateway.ledger import Ledger, Owner
from sovereign.guard.endpoints import ENDPOINTS, match, named, query
from sovereign.guard.shapes import SHAPES


def test_who_has_it_keeps_it(tmp_path: Path) -> None:
    """Also after a restart, and whoever else names it later: the file is on disk, for its owner
    alone."""
    path = tmp_path / "state" / "held.db"
    first = Ledger(path)
    first.own(["file-1", "file-2"], "cardiology", "openai")
    assert [f.name for f in path.parent.iterdir() if f.stat().st_mode & 0o077] == []
    first.own(["file-1"], "radiology", "openai")
    first.close()
    again = Ledger(path)
    assert again.owner("file-1") == Owner("cardiology", "openai")
    assert again.mine("file-2", "cardiology", "openai")
    assert not again.mine("file-2", "radiology", "openai")
    assert not again.mine("file-2", "cardiology", "azure")
    assert again.owner("file-3") is None
    assert path.stat().st_mode & 0o077 == 0


def test_two_workers_share_it(tmp_path: Path) -> None:
    """What one has seen, the other knows at once."""
    one, other = Ledger(tmp_path / "held.db"), Ledger(tmp_path / "held.db")
    one.own(["batch_1"], "cardiology", "openai")
    assert other.mine("batch_1", "cardiology", "openai")


def test_a_ledger_that_cannot_be_opened_keeps_the_door_shut(tmp_path: Path) -> None:
    """Without it, nobody could be told apart."""
    (tmp_path / "held.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(ConfigError):
        Ledger(tmp_path / "held.db")


def test_the_ids_of_a_reply() -> None:
    """Only at the places that the table names: what a caller wrote elsewhere gives nothing."""
    body = {"id": "a", "metadata": {"id": "b"}, "data": [{"id": "c", "file_id": "d"}, 3]}
    assert named(body, ("id", "data.*.id", "missing.*.id")) == ["a", "c"]
    assert named([], ("id",)) == []


def test_every_endpoint_that_has_a_body_has_a_reader() -> None:
    """And each can be found by its own path."""
    for endpoint in ENDPOINTS:
        assert endpoint.shape is None or endpoint.shape in SHAPES
        assert (endpoint.shape is None) == (endpoint.body == "none")
        path = endpoint.path
        while "{" in path:
            path = path[: path.index("{")] + "x_1" + path[path.index("}") + 1 :]
        found = match(endpoint.method, path, endpoint.wire)
        assert found is not None
        assert found.endpoint.does == endpoint.does
        assert len(found.ids) == endpoint.path.count("{")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files/",
        "/v1/files/a/b",
        "/v1/files/%2e%2e",
        "/v1/files/../x",
        "/v1/files/-x",
        "/v2/files",
        "/v1/files/" + "x" * 129,
        "/v1/files/é",
        "/v1/files/a\n",
        "//v1/files",
    ],
)
def test_a_path_matches_to_the_letter(path: str) -> None:
    """Two readers of a path must never see two endpoints."""
    assert match("GET", path) is None


def test_a_query_says_what_is_known() -> None:
    """Names and values; nothing that could hold text."""
    call = match("GET", "/v1/files")
    assert call is not None
    assert query(call.endpoint, [("limit", "20"), ("order", "desc")]) is None
    for pair in (("limit", "Maria"), ("note", "x"), ("order", "up"), ("after", "Maria Keller")):
        assert query(call.endpoint, [pair]) is not None
