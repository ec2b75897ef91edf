"""The corpus: one JSON object per line, a request each, with places for made-up values.

``{{ssn}}`` stands for a fresh value, ``{{ssn|fullwidth|b64}}`` for one in two disguises. An object
``{"$json": …}`` becomes JSON in a string, ``{"$number": "{{card}}"}`` a number, ``{"$file": "pdf",
"text": …, "as": "data-uri"}`` a file. What a value became is what must not arrive.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sovereign.errors import ConfigError
from sovereign.prove.disguise import disguise
from sovereign.prove.files import MEDIA, make
from sovereign.prove.values import KINDS, Values

__all__ = ["BUILT_IN", "Message", "Probe", "load"]

_words = str.split  # a list of words is easier to read as one string

BUILT_IN = Path(__file__).parent / "corpus"
WIRES = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "count_tokens": "/v1/messages/count_tokens",
}
_FIELDS = frozenset(
    _words("name wire method path query headers text content messages body multipart raw more as")
)
_HOLE = re.compile(r"\{\{(.+?)\}\}", re.DOTALL)
_BOUNDARY = "sovereign-prove-7d1f0c"
_FILE_NEEDLE = 48


@dataclass(frozen=True, slots=True)
class Message:
    """One request as it is sent. ``needles`` are the spellings that must not arrive, ``exact`` what
    must not arrive as a whole, a stretch of a file; ``repr`` shows none of it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    chunked: bool
    needles: tuple[str, ...]
    plain: tuple[str, ...]
    exact: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Message({self.method}, {len(self.body)} bytes)"


@dataclass(frozen=True, slots=True)
class Probe:
    """One line of the corpus."""

    name: str
    group: str
    given: Mapping[str, Any] = field(repr=False)

    @property
    def wire(self) -> str:
        """Which of :data:`WIRES` it is written for."""
        return str(self.given.get("wire", "chat"))

    @property
    def needs_anthropic(self) -> bool:
        """Whether it asks for a model on the Anthropic wire."""
        return self.wire in ("messages", "count_tokens")

    def message(self, values: Values, models: Mapping[str, str]) -> Message:
        """The request with these values. ``models`` names ``model`` and ``claude``."""
        made = _Expansion(values.by_kind, models)
        given = self.given
        headers = {k: str(v) for k, v in _pairs(made, given.get("headers", {}))}
        kind, body = _body(made, given)
        if self.needs_anthropic:
            headers.setdefault("anthropic-version", "2023-06-01")
        if body or kind:
            headers = {"Content-Type": kind, **headers} if kind else headers
        form = given.get("as")
        if form == "gzip":
            headers["Content-Encoding"] = "gzip"
            body = zlib.compress(body, wbits=31)
            made.exact.append(base64.b64encode(body).decode()[:_FILE_NEEDLE])
        elif form == "utf-16":
            body = body.decode().encode("utf-16")
        query = made.text(str(given.get("query", "")))
        target = made.text(str(given.get("path", WIRES[self.wire]))) + (query and f"?{query}")
        return Message(
            method=str(given.get("method", "POST")),
            target=target,
            headers=headers,
            body=body,
            chunked=form == "chunked",
            needles=tuple(dict.fromkeys(made.needles)),
            plain=tuple(dict.fromkeys(made.plain)),
            exact=tuple(made.exact),
        )


class _Expansion:
    """Fills the holes of one probe, and keeps what it filled them with."""

    def __init__(self, values: Mapping[str, str], models: Mapping[str, str]) -> None:
        self._values, self._models = values, models
        self.needles: list[str] = []
        self.plain: list[str] = []
        self.exact: list[str] = []

    def text(self, template: str) -> str:
        return _HOLE.sub(self._fill, template)

    def _fill(self, hole: re.Match[str]) -> str:
        kind, *names = hole[1].split("|")
        if kind in self._models:
            return self._models[kind]
        plain = text = self._values[kind]
        for name in names:
            text = disguise(text, name)
        whole = not any(n.startswith("part:") for n in names)
        self.needles.append(text)
        if plain not in self.plain:
            self.plain.append(plain)
        if kind == "name" and whole and not names:
            self.needles += text.split()
        return text

    def tree(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.tree(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$json" in value:
            return json.dumps(self.tree(value["$json"]))
        if "$number" in value:
            return int(self.text(value["$number"]))
        if "$file" in value:
            encoded = base64.b64encode(self.file(value)).decode()
            if value.get("as") == "base64":
                return encoded
            return f"data:{value.get('media', MEDIA[value['$file']])};base64,{encoded}"
        return {self.text(k): self.tree(v) for k, v in value.items()}

    def file(self, value: Mapping[str, Any]) -> bytes:
        said = self.text(value["text"])
        raw = make(value["$file"], said)
        encoded = base64.b64encode(raw).decode()
        at = raw.find(said.encode())
        # In steps of four letters, or the slice would be another text.
        start, size = len(encoded) // 8 * 4, _FILE_NEEDLE
        if at >= 0:
            start, size = at // 3 * 4, (at % 3 + len(said.encode()) + 2) // 3 * 4
        if said != value["text"]:  # a file without a value may arrive as it is
            self.exact.append(encoded[start : start + size])
        return raw


def _pairs(made: _Expansion, given: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in given.items():
        yield made.text(name), made.text(value)


def _body(made: _Expansion, given: Mapping[str, Any]) -> tuple[str, bytes]:
    """(content type, bytes)."""
    if "multipart" in given:
        return f"multipart/form-data; boundary={_BOUNDARY}", _multipart(made, given["multipart"])
    if "raw" in given:
        return "application/json", made.text(given["raw"]).encode()
    tree = given.get("body")
    if tree is None:
        messages = given.get("messages")
        if messages is None:
            said = given.get("text", given.get("content"))
            if said is None:
                return "", b""
            messages = [{"role": "user", "content": said}]
        tree = {"model": "{{model}}", "messages": messages, **given.get("more", {})}
    return "application/json", json.dumps(made.tree(tree), ensure_ascii=False).encode()


def _multipart(made: _Expansion, parts: Sequence[Mapping[str, Any]]) -> bytes:
    out = b""
    for part in parts:
        head = f'Content-Disposition: form-data; name="{made.text(part["name"])}"'
        raw = b""
        if "file" in part:
            head += f'; filename="{made.text(part["filename"])}"'
            head += f"\r\nContent-Type: {MEDIA[part['file']['$file']]}"
            raw = made.file(part["file"])
        else:
            raw = made.text(part["text"]).encode()
        out += f"--{_BOUNDARY}\r\n{head}\r\n\r\n".encode() + raw + b"\r\n"
    return out + f"--{_BOUNDARY}--\r\n".encode()


def load(*places: Path) -> tuple[Probe, ...]:
    """Every probe of these files or folders, in order. Raises :class:`ConfigError`, which names
    file and line."""
    probes: dict[str, Probe] = {}
    for file in _files(places or (BUILT_IN,)):
        try:
            lines = file.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError):
            raise ConfigError(f"{file}: cannot be read as UTF-8 text") from None
        for number, line in enumerate(lines, 1):
            if line.strip():
                probe = _probe(line, file.stem, f"{file}:{number}")
                if probe.name in probes:
                    raise ConfigError(f"{file}:{number}: a second probe named {probe.name!r}")
                probes[probe.name] = probe
    return tuple(probes.values())


def _files(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from sorted(place.glob("*.jsonl"))
        else:
            yield place


def _probe(line: str, group: str, where: str) -> Probe:
    try:
        given = json.loads(line)
        name = given["name"]
        if not re.fullmatch(r"[a-z0-9-]{1,64}", name):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{where}: not a probe",
            hint='one JSON object per line, with a "name" of a-z 0-9 and -; see docs/prove.md',
        ) from None
    unknown = given.keys() - _FIELDS
    if unknown:
        raise ConfigError(
            f"{where}: unknown field {min(unknown)!r}", hint=f"fields: {', '.join(sorted(_FIELDS))}"
        )
    probe = Probe(name, group, given)
    example = dict.fromkeys(KINDS, "123-45-6789@1234.5678 9012")
    try:
        message = probe.message(Values(example), {"model": "m", "claude": "c"})
    except KeyError as e:
        raise ConfigError(f"{where}: no value, disguise, wire or file named {e}") from None
    except (ValueError, TypeError, AttributeError):
        if "$number" in line:
            return probe  # the example is no number
        raise ConfigError(f"{where}: cannot be made into a request") from None
    if not message.needles:
        raise ConfigError(f"{where}: carries no value, so it proves nothing")
    return probe
