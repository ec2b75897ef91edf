"""What a body carries that is no text: documents, pictures and audio, which are read; and what
cannot be read: sealed blobs, remote content, things that are kept elsewhere and did not leave
through here.

What cannot be read is never sent to a hosted API. The policy says whether it is refused or answered
inside.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sovereign.guard.body import Leaf, Limits, gather, strict_json
from sovereign.guard.documents.text import decode
from sovereign.guard.form import Upload
from sovereign.guard.payloads import DATA_URI, is_base64, unpacked
from sovereign.guard.shapes import Shape
from sovereign.types import JSON, Path

__all__ = ["Hosts", "Parcel", "Seen", "found"]

_PART_TYPES = {
    "image": "an image",
    "image_url": "an image",
    "input_image": "an image",
    "image_file": "an image",
    "audio": "audio",
    "input_audio": "audio",
    "audio_url": "audio",
    "video": "video",
    "video_url": "video",
    "input_video": "video",
    "file": "a file",
    "input_file": "a file",
    "document": "a file",
    "container_upload": "a file",
    "image_generation_call": "an image",
    "redacted_thinking": "an encrypted blob",
    "reasoning.encrypted": "an encrypted blob",
    "compaction": "an encrypted blob",
}
_SEALED = frozenset(
    {"encrypted_content", "encrypted_index", "encrypted_stdout", "thought_signature"}
)
KEPT = {
    "file_id": "a file",
    "input_file_id": "a file",
    "training_file": "a file",
    "validation_file": "a file",
    "image_file_id": "a file",
    "file_ids": "a file",
    "previous_response_id": "a conversation",
    "response_id": "a conversation",
    "conversation": "a conversation",
    "thread_id": "a conversation",
    "assistant_id": "an assistant",
    "vector_store_id": "a vector store",
    "vector_store_ids": "a vector store",
    "container": "a container",
    "part_ids": "a part of an upload",
}
"""Fields that name something the destination holds already."""

_BY_ID = {"prompt": "a prompt", "audio": "audio"}
"""The same, if they hold an object with an id: a stored prompt, an answer that was spoken."""

_REFERENCES = {
    "container_reference": ("container_id", "a container"),
    "skill_reference": ("skill_id", "a skill"),
}
"""Objects of a type that only names something, and the field that does."""

_ITEMS = ("input", "items")
_WRITTEN = frozenset(
    {"message", "function_call", "custom_tool_call", "function_call_output"}
    | {"custom_tool_call_output", "computer_call_output", "local_shell_call_output"}
    | {"shell_call_output", "apply_patch_call_output", "mcp_approval_response"}
)
"""Items of a response's input that say themselves what they hold. Of any other that has an id, the
destination may take what it stored under it: without a type, an id is a reference."""

_FETCHED_UNDER = frozenset({"image_url", "audio_url", "video_url", "mcp_servers", "source", "file"})
_CITED = frozenset({"url_citation", "web_search_result", "search_result", "web_search_call"})
_FETCHING = ("web_search", "web_fetch")
_LINED = frozenset({"batch", "fine-tune"})
"""Purposes of files of which the destination takes each line for a request or a conversation."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_BROKEN = re.compile(r"[A-Za-z0-9+/_\s-]*={0,2}\s*")
"""The same in lines, as who decodes a field may take it."""
_REMOTE = re.compile(r"\s*(?:https?|wss?|ftp|gs|s3|file)://", re.IGNORECASE)


class Hosts:
    """Names of hosts: in full, ``*.example.org`` for all below one, ``*`` for every one."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(name.lower() for name in names)

    def __contains__(self, host: object) -> bool:
        if not isinstance(host, str):
            return False
        labels = host.lower().split(".")
        above = (".".join(("*", *labels[i:])) for i in range(1, len(labels)))
        return (
            "*" in self._names
            or host.lower() in self._names
            or any(name in self._names for name in above)
        )


@dataclass(frozen=True, slots=True)
class Parcel:
    """A document in a body. ``payload`` are the letters that carry it in the leaf at ``path``; a
    file in a form has none."""

    path: Path
    data: bytes = field(repr=False)
    name: str = ""
    declared: str = ""
    payload: str = field(default="", repr=False)


@dataclass(slots=True)
class Seen:
    """What of one body is no text. ``unread`` says so in words that quote nothing of it; ``kept``
    are leaves that name what the destination holds and may be trusted as they stand."""

    parcels: list[Parcel] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    kept: set[Path] = field(default_factory=set)
    remote: bool = False
    foreign: bool = False
    token_ids: bool = False

    def __repr__(self) -> str:
        return f"Seen({len(self.parcels)} parcels, {len(self.unread)} unread)"

    @property
    def special(self) -> bool:
        """Whether the body is more than text."""
        return bool(self.parcels or self.kept or self.remote or self.foreign or self.token_ids)


def found(
    body: JSON,
    leaves: Sequence[Leaf],
    shape: Shape | None,
    *,
    hosts: Container[str] = (),
    held: Callable[[str], bool] | None = None,
) -> Seen:
    """One walk over ``body``. ``hosts`` are those that it may name as content to fetch; ``held``
    knows the ids of what left through this guard for the same destination and caller."""
    seen = Seen()
    walk = _Walk(seen, hosts, held)
    stack: list[tuple[JSON, Path]] = [(body, ())]
    while stack:
        value, path = stack.pop()
        if isinstance(value, dict):
            walk.mapping(value, path)
            for key, item in value.items():
                if not isinstance(item, _SCALAR):
                    stack.append((item, (*path, key)))
        elif isinstance(value, list):
            stack += [(v, (*path, i)) for i, v in enumerate(value) if not isinstance(v, _SCALAR)]
        elif isinstance(value, Upload):
            seen.parcels.append(Parcel(path, value.data, value.filename, value.content_type))
            if isinstance(body, dict) and body.get("purpose") in _LINED:
                _lines(value, seen, hosts, held)
    if isinstance(body, dict):
        seen.token_ids = any(
            _token_ids(body.get(key)) for key in (shape.token_ids if shape else ())
        )
        if "web_search_options" in body:
            walk.fetches(body["web_search_options"])
    done = {(p.path, p.payload) for p in seen.parcels}
    for leaf in leaves:
        if ":" in leaf.text and "," in leaf.text and DATA_URI.search(leaf.text):
            _uris(leaf, seen, done)
            walk.known.append(leaf.path)
    walk.close()
    return seen


_SCALAR = (str, int, float)


def _lines(
    upload: Upload, seen: Seen, hosts: Container[str], held: Callable[[str], bool] | None
) -> None:
    """What of an uploaded file's lines is no text. These are sent as they are written, so nothing
    can be taken out of them but text."""
    for text in (decode(upload.data, upload.content_type) or "").split("\n"):
        try:
            line = strict_json(text)
        except (ValueError, RecursionError):
            continue  # no request; as text it is read anyway
        request = line.get("body", line) if isinstance(line, dict) else line
        inner = found(request, gather(request, Limits())[0], None, hosts=hosts, held=held)
        seen.unread += inner.unread + ["a document in a line of a file"] * len(inner.parcels)
        seen.remote |= inner.remote
        seen.foreign |= inner.foreign
        if isinstance(request, dict) and any(_token_ids(request.get(k)) for k in _LISTED):
            seen.unread.append("token ids")


_LISTED = ("prompt", "input")
"""Where a request may hold numbers in the place of text."""


class _Walk:
    def __init__(
        self, seen: Seen, hosts: Container[str], held: Callable[[str], bool] | None
    ) -> None:
        self._seen, self._hosts, self._held = seen, hosts, held
        self._parts: list[tuple[Path, str]] = []
        self.known: list[Path] = []

    def mapping(self, value: dict[str, Any], path: Path) -> None:
        """Everything of one object that is no text of its own."""
        if not _INTERESTING.isdisjoint(value):
            for key in value.keys() & _INTERESTING:
                self._field(key, value[key], value, path)
        kind = value.get("type")
        if len(path) == 2 and path[0] in _ITEMS and kind not in _WRITTEN and "role" not in value:
            self._reference("id", value.get("id"), path, "a conversation")
        if not isinstance(kind, str):
            return
        if kind in _REFERENCES:
            key, what = _REFERENCES[kind]
            self._reference(key, value.get(key), path, what)
        elif (
            path[-2:-1] == ("tools",)
            and (kind.startswith(_FETCHING) or (kind == "mcp" and not value.get("server_url")))
        ) or (path[-1:] == ("network_policy",) and kind != "disabled"):
            self.fetches(value)
        # Under "type" a schema says what a property is; a content part says what it carries.
        elif kind in _PART_TYPES and "properties" not in value and not _is_text(kind, value):
            self._parts.append((path, _PART_TYPES[kind]))

    def close(self) -> None:
        """Content parts in which nothing was found that is known here."""
        for path, what in self._parts:
            if not any(known[: len(path)] == path for known in self.known):
                self._seen.unread.append(what)

    def _field(self, key: str, item: Any, value: dict[str, Any], path: Path) -> None:
        where = (*path, key)
        if key in _SEALED or (key == "signature" and value.get("type") == "thinking"):
            if isinstance(item, str) and item:
                self._unread("an encrypted blob", where)
        elif key == "result" and value.get("type") == "image_generation_call":
            if isinstance(item, str) and item:
                self._letters(where, item, value)
        elif key in _BY_ID:
            if isinstance(item, dict) and isinstance(item.get("id"), str):
                self._reference(key, item, path, _BY_ID[key])
        elif key == "data" or key == "file_data":
            if isinstance(item, str) and not DATA_URI.match(item):
                self._letters(where, item, value)
            elif isinstance(item, str) and value.get("type") == "base64":
                self._unread("a data URI", where)  # what ends it there, is for whoever decodes it
        elif key in KEPT:
            self._reference(key, item, path, KEPT[key])
        elif isinstance(item, str) and (
            _is_server(key, path) or (_REMOTE.match(item) and _is_fetched(key, value, path))
        ):
            self._remote(item, where)

    def _unread(self, what: str, where: Path) -> None:
        self._seen.unread.append(what)
        self.known.append(where)

    def _letters(self, where: Path, letters: str, value: dict[str, Any]) -> None:
        """Base64 in a field of its own. Beside ``data`` stands what it is; without, it is text."""
        declared, name = value.get("media_type"), value.get("filename")
        if where[-2:-1] == ("input_audio",) and isinstance(value.get("format"), str):
            declared = f"audio/{value['format']}"
        if where[-1] == "data" and value.get("type") != "base64" and declared is None:
            return
        data = unpacked(letters)
        name, declared = (v if isinstance(v, str) else "" for v in (name, declared))
        if data is None:
            self._unread("a file that is not sound base64", where)
        else:
            self._seen.parcels.append(Parcel(where, data, name, declared, letters))
            self.known.append(where)

    def _reference(self, key: str, item: Any, path: Path, what: str) -> None:
        where: Path = (*path, key)
        if isinstance(item, dict):
            item, where = item.get("id"), (*where, "id")
        several = isinstance(item, list)
        for at, one in enumerate(item if several else [item]):
            if not isinstance(one, str) or not one:
                continue
            self.known.append(where)
            if self._held is not None and self._held(one):
                self._seen.kept.add((*where, at) if several else where)
            else:
                self._seen.foreign = self._held is not None
                self._seen.unread.append(f"{what} that is kept elsewhere")

    def _remote(self, url: str, where: Path) -> None:
        self.known.append(where)
        try:
            parts = urlsplit(url.strip())
            host, user = (parts.hostname or "").lower(), parts.username
        except ValueError:
            host, user = "", None
        if not host or user is not None or host not in self._hosts:
            self._seen.remote = True
            self._seen.unread.append("a URL whose host is not listed in [documents] url_hosts")

    def fetches(self, tool: JSON) -> None:
        """A tool with which the destination reads pages of its own choice."""
        given = tool.get("filters", tool) if isinstance(tool, dict) else None
        domains = given.get("allowed_domains") if isinstance(given, dict) else None
        if not isinstance(domains, list) or not domains:
            domains = ["*"]
        if not all(isinstance(d, str) and d in self._hosts for d in domains):
            self._seen.remote = True
            self._seen.unread.append("a tool that fetches from hosts that are not listed")


_FETCHED = frozenset(
    {"file_data", "url", "image_url", "file_url", "server_url", "audio_url", "video_url"}
    | {"input_url", "webhook_url", "callback_url", "base_url"}
)
_INTERESTING = _FETCHED | {*_SEALED, *KEPT, *_BY_ID, "signature", "result", "data"}


def _is_fetched(key: str, value: dict[str, Any], path: Path) -> bool:
    """Whether somebody will fetch the URL in this field: a citation and a note are only text."""
    kind = value.get("type")
    kind = kind if isinstance(kind, str) else ""
    if kind in _CITED or (path and path[0] == "metadata"):
        return False
    above = [step for step in path if isinstance(step, str)]
    typed = kind in ("url", "mcp") or kind in _PART_TYPES
    return key != "url" or typed or bool(above and above[-1] in _FETCHED_UNDER)


def _is_server(key: str, path: Path) -> bool:
    """Whether the field names a server of tools, however its address is spelled."""
    in_tools = key == "server_url" and path[-2:-1] == ("tools",)
    return in_tools or (key == "url" and path[-2:-1] == ("mcp_servers",))


def _is_text(kind: str, part: dict[str, JSON]) -> bool:
    source = part.get("source")
    known = isinstance(source, dict) and source.get("type") in ("text", "content")
    return kind == "document" and known


def _uris(leaf: Leaf, seen: Seen, done: set[tuple[Path, str]]) -> None:
    """The data URIs of one leaf. A text that is not base64 is read where it stands."""
    for match in DATA_URI.finditer(leaf.text):
        if not is_base64(match):
            if not match["type"].lower().startswith("text/"):
                seen.unread.append("a data URI")
            continue
        fetched = leaf.path[-1:] and leaf.path[-1] in _FETCHED
        letters = (_BROKEN if fetched else _BASE64).match(leaf.text, match.end())
        payload = letters.group() if letters else ""
        ends = not fetched or match.end() + len(payload) == len(leaf.text)
        data = unpacked(payload) if leaf.kind == "text" and ends else None
        if data is None:
            seen.unread.append("a data URI")
        elif payload and (leaf.path, payload) not in done:
            done.add((leaf.path, payload))
            name = ""
            seen.parcels.append(Parcel(leaf.path, data, name, match["type"], payload))


def _token_ids(value: JSON) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return any(isinstance(item, int) or _token_ids(item) for item in value)
