"""TLS on both sides of the door."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from operate import CHAT, HELLO, Destination, before, chat, configure, until


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Path, Path]]:
    """Makes certificates: ``pki(name, by=None)`` gives certificate and key files."""
    folder = tmp_path_factory.mktemp("pki")

    def make(name: str, by: str | None = None) -> tuple[Path, Path]:
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        if cert.exists():
            return cert, key
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ]
        command += ["-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", str(key)]
        command += ["-out", str(cert)]
        if by is None:
            command += ["-addext", "basicConstraints=critical,CA:TRUE"]
        else:
            command += ["-CA", str(folder / f"{by}.pem"), "-CAkey", str(folder / f"{by}.key")]
            command += ["-addext", "basicConstraints=CA:FALSE"]
            command += ["-addext", "subjectAltName=IP:127.0.0.1"]
        subprocess.run(command, check=True, capture_output=True)
        return cert, key

    make("ca")
    make("other-ca")
    return make


def _over_tls(gateway: Any, ca: Path, client: tuple[Path, Path] | None, key: str | None) -> int:
    context = ssl.create_default_context(cafile=str(ca))
    if client is not None:
        context.load_cert_chain(*map(str, client))
    sent = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    request = urllib.request.Request(gateway.url + CHAT, json.dumps(HELLO).encode(), sent)
    try:
        with urllib.request.urlopen(request, timeout=20, context=context) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as e:
        return e.code


def _speaks(gateway: Any, version: str, client: tuple[Path, Path]) -> bool:
    """Whether OpenSSL's own client, told to take any cipher, agrees on this version."""
    done = subprocess.run(
        [
            *("openssl", "s_client", version, "-cipher", "DEFAULT@SECLEVEL=0"),
            *("-cert", str(client[0]), "-key", str(client[1])),
            *("-connect", gateway.url.removeprefix("https://")),
        ],
        input=b"",
        capture_output=True,
        check=False,
        timeout=20,
    )
    return done.returncode == 0 and b"Cipher is (NONE)" not in done.stdout


def test_mutual_tls_binds_keys_and_follows_its_files(
    gateway_at: Any, pki: Callable[..., tuple[Path, Path]]
) -> None:
    """Without a certificate of the right authority there is no connection; a bound key opens only
    with its own; a new certificate and other authorities take effect without a restart; a broken
    file leaves the old one; nothing older than TLS 1.2 is spoken."""
    ca, other = pki("ca")[0], pki("other-ca")[0]
    mine, yours, foreign = pki("mine", "ca"), pki("yours", "ca"), pki("foreign", "other-ca")
    gateway = gateway_at(tiny=True)
    files = {n: gateway.folder / n for n in ("cert.pem", "key.pem", "clients.pem")}

    def install(server: tuple[Path, Path], clients: Path) -> None:
        for to, source in zip(files.values(), (*server, clients), strict=True):
            to.write_bytes(source.read_bytes())

    install(pki("server", "ca"), ca)
    configure(
        gateway,
        more='[tls]\ncert_file = "cert.pem"\nkey_file = "key.pem"\n'
        'client_ca_file = "clients.pem"\n',
    )
    gateway.start()
    assert gateway.url.startswith("https://")
    bound = gateway.run(
        *("keys", "create", "--team", "it", "--certificate", str(mine[0]), "--json")
    )
    key = json.loads(bound.stdout)["key"]
    assert _over_tls(gateway, ca, mine, key) == 200
    assert _over_tls(gateway, ca, yours, key) == 401
    assert _over_tls(gateway, ca, yours, gateway.key) == 200
    for client in (None, foreign):
        with pytest.raises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
            _over_tls(gateway, ca, client, key)
    assert _speaks(gateway, "-tls1_2", mine)
    assert not _speaks(gateway, "-tls1_1", mine)
    install(pki("renewed", "other-ca"), other)

    def renewed() -> bool:
        try:
            return _over_tls(gateway, other, foreign, gateway.key) == 200
        except (ssl.SSLError, urllib.error.URLError, ConnectionError):
            return False

    until(renewed)
    with pytest.raises((ssl.SSLError, urllib.error.URLError, ConnectionError)):
        _over_tls(gateway, other, mine, gateway.key)  # of the authority that is gone
    files["cert.pem"].write_text("not a certificate")
    time.sleep(1.5)
    assert _over_tls(gateway, other, foreign, gateway.key) == 200
    assert "tls: the old certificate stays in use" in gateway.stderr()
    assert gateway.stop() == 0


def test_a_destination_is_trusted_by_its_own_authority(
    gateway_at: Any, pki: Callable[..., tuple[Path, Path]]
) -> None:
    """ca_file and cert_file of the upstream: without the first its certificate is not trusted;
    without the second it does not take us."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, pki("destination", "ca")))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(str(pki("other-ca")[0]))
    own = Destination(["ok"], context)
    url = f"https://127.0.0.1:{own.server_port}"
    client = pki("gateway", "other-ca")
    trusted = f'ca_file = "{pki("ca")[0]}"\n'
    ours = f'cert_file = "{client[0]}"\nkey_file = "{client[1]}"\n'
    more = f'[upstream.bare]\nside = "hosted"\nbase_url = "{url}/v1"\nmodels = ["bare-test"]\n'
    gateway = before(gateway_at, url, trusted + ours, more)
    assert gateway.ask(chat("x", "own-test")).status == 200
    answer = gateway.ask(chat("x", "bare-test"))
    assert answer.status == 502
    assert "not trusted" in answer.error["message"]
    gateway.stop()
    own.shutdown()
    own.server_close()
