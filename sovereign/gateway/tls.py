"""TLS on both sides of the door: the listener's certificate and its callers', and destinations'.

TLS 1.2 is the oldest that is spoken. What is read from files is read whole before it takes effect:
a broken new certificate leaves the old one in use, and says so.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from pathlib import Path
from typing import Any

from sovereign.config import Config
from sovereign.errors import ConfigError
from sovereign.running import TlsConfig, UpstreamConfig

__all__ = ["Listening", "client_context", "fingerprint"]

LOGGER = logging.getLogger("sovereign.gateway")


def client_context(config: Config, name: str, upstream: UpstreamConfig) -> ssl.SSLContext:
    """How destination ``name`` is checked, and how it can check us. Raises :class:`ConfigError`."""
    where = f"upstream.{name}"
    ca = None if upstream.ca_file is None else config.resolve(upstream.ca_file)
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except (OSError, ssl.SSLError) as e:
        raise _unusable(f"{where}.ca_file", ca, e) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if upstream.cert_file is not None:
        cert = config.resolve(upstream.cert_file)
        _load(context, cert, _optional(config, upstream.key_file), f"{where}.cert_file")
    return context


class Listening:
    """The listener's TLS. :attr:`context` stays the same object; what it does for the next
    connection is what the files last said."""

    def __init__(self, config: Config, tls: TlsConfig) -> None:
        """Raises :class:`ConfigError`."""
        self._cert = config.resolve(tls.cert_file)
        self._key = _optional(config, tls.key_file)
        self._ca = _optional(config, tls.client_ca_file)
        self._stamp = self._stamps()
        self._current = self._read()
        self.context = self._read()
        # The context that a listener was opened with cannot be exchanged, but each handshake can
        # be given another: also where the caller names no host.
        self.context.sni_callback = self._exchange

    def refresh(self) -> bool:
        """Read the files again if they changed. Whether they are good; a broken one is logged."""
        stamp = self._stamps()
        if stamp == self._stamp:
            return True
        try:
            self._current = self._read()
        except ConfigError as e:
            LOGGER.error("tls: the old certificate stays in use: %s", e.message)
            return False
        self._stamp = stamp
        LOGGER.info("tls: the certificate was read again")
        return True

    def _exchange(self, connection: ssl.SSLObject, name: str | None, context: object) -> None:
        connection.context = self._current

    def _read(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        _load(context, self._cert, self._key, "tls.cert_file")
        if self._ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            # A session of before a change of authorities must not be taken up again.
            context.options |= ssl.OP_NO_TICKET
            context.num_tickets = 0
            try:
                context.load_verify_locations(str(self._ca))
            except (OSError, ssl.SSLError) as e:
                raise _unusable("tls.client_ca_file", self._ca, e) from None
        return context

    def _stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(file) for file in (self._cert, self._key, self._ca) if file)


def fingerprint(transport: asyncio.BaseTransport) -> str | None:
    """SHA-256, in hex, of the certificate (DER) that the other end showed, if it was checked."""
    connection: Any = transport.get_extra_info("ssl_object")
    if connection is None:
        return None
    der = connection.getpeercert(binary_form=True)
    return hashlib.sha256(der).hexdigest() if der else None


def _load(context: ssl.SSLContext, cert: Path, key: Path | None, where: str) -> None:
    try:
        context.load_cert_chain(str(cert), None if key is None else str(key), _no_password)
    except (OSError, ssl.SSLError, ValueError) as e:
        raise _unusable(where, cert, e) from None


def _no_password() -> str:
    raise ValueError("the private key is encrypted")


def _unusable(where: str, file: Path | None, error: Exception) -> ConfigError:
    why = str(error) if isinstance(error, ValueError) else "not usable PEM"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and error.strerror:
        why = error.strerror.lower()
    return ConfigError(
        f"{where}: {file}: {why}",
        hint="a PEM file; a certificate and its key belong together, and the key has no password",
    )


def _optional(config: Config, file: Path | None) -> Path | None:
    return None if file is None else config.resolve(file)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        at = file.stat()
    except OSError:
        return None
    return (at.st_ctime_ns, at.st_size, at.st_ino)
