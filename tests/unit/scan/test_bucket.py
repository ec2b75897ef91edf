"""Objects on a real S3 server: listed, and read like files, in pieces and from anywhere."""

from __future__ import annotations

import gzip
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from click.testing import CliRunner, Result
from moto.server import ThreadedMotoServer
from obstore.store import S3Store
from scan_samples import MAIL, TEXT, columns, zipped
from scanned import items, read, records, unread

from sovereign.cli.scan import scan_command
from sovereign.errors import ConfigError
from sovereign.scan.bucket import Objects
from sovereign.scan.readers.text import TextReader


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def _filled(endpoint: str, files: dict[str, bytes]) -> S3Store:
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/audit", method="PUT")).close()
    store = S3Store(
        "audit",
        endpoint=endpoint,
        region="us-east-1",
        access_key_id="key",
        secret_access_key="secret",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    for name, data in files.items():
        obstore.put(store, name, data)
    return store


def test_objects_are_read_as_files_are(endpoint: str) -> None:
    """Also what has to be read from several places: an archive, a Parquet file."""
    files = {
        "logs/a.txt": TEXT,
        "logs/b.txt.gz": gzip.compress(TEXT),
        "logs/c.parquet": columns(),
        "logs/d.zip": zipped({"x.txt": TEXT}),
    }
    store = _filled(endpoint, {**files, "other/z.txt": TEXT})
    sources = list(Objects("s3://audit/logs", endpoint, "key", "secret").sources())
    assert [s.name for s in sources] == [f"s3://audit/{name}" for name in files]
    for source, data in zip(sources, files.values(), strict=True):
        found = items(source)
        assert found == read(source.name, data)
        assert any(MAIL in f.text for r in records(found) for f in r.fields)
    obstore.delete(store, "logs/a.txt")
    assert len(unread(list(TextReader().read(sources[0])))) == 1


def test_a_bucket_is_scanned_and_gone_on_with(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By processes that open the objects anew; what did not change is not read again. No key, and
    no value, is in what is left behind."""
    store = _filled(endpoint, {"exports/a.txt": b"Her SSN is 512-47-3391, as before.\n"})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    where = ["s3://audit/exports", "--endpoint", endpoint, "--policy", "direct", "--jobs", "1"]

    def scan(*more: str) -> Result:
        out = ["--out", str(tmp_path / "out"), *more]
        return CliRunner().invoke(scan_command, [*where, *out])

    assert scan().exit_code == 1
    obstore.put(store, "exports/b.txt", b"His SSN is 513-48-2204, as before.\n")
    run = scan("--json")
    assert json.loads(run.stdout)["totals"]["files"] == 2
    rows = [json.loads(r) for r in (tmp_path / "out" / "findings.jsonl").read_text().splitlines()]
    found = {(r["file"], r["offset"]) for r in rows if r["entity"] == "US_SSN"}
    assert found == {("s3://audit/exports/a.txt", 11), ("s3://audit/exports/b.txt", 11)}
    left = run.output.encode() + b"".join(p.read_bytes() for p in (tmp_path / "out").iterdir())
    assert not [v for v in (b"very-secret", b"512-47", b"513-48") if v in left]
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "AWS_SECRET_ACCESS_KEY" in str(scan().exception)


def test_keys_are_in_no_repr_and_a_bad_url_says_so() -> None:
    where = Objects("s3://audit/logs", "http://x", "AKIA-id", "the-secret")
    assert "AKIA-id" not in repr(where)
    assert "the-secret" not in repr(where)
    with pytest.raises(ConfigError):
        list(Objects("http://audit", "http://x", "", "").sources())
