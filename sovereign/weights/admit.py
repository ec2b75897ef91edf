"""Says which files may enter the store. Data only: nothing that a loader would run as code.

Scanners of pickles miss what they have not seen, so the rule is an allow-list: safetensors whose
header is consistent, JSON, tokenizer files, and text. Every refusal names the file.
"""

from __future__ import annotations

import json
import os
import re
import stat
import struct
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from sovereign.errors import NotAdmitted
from sovereign.weights.templates import chat_templates, check_template

__all__ = ["admissible", "admit", "check_papers", "check_path", "check_safetensors", "walk"]

SUFFIXES = {".safetensors", ".json", ".txt", ".md", ".jinja"}
BARE_NAMES = {"LICENSE", "LICENCE", "NOTICE", "LICENSE.txt"}
TOKENIZERS = {"tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model.v3"}
"""Serialised sentencepiece models: protobuf, which holds no code."""
TIKTOKEN = re.compile(rb"(?:[A-Za-z0-9+/]+=* [0-9]+\n)+")
SENTENCEPIECE = {0x0A, 0x12, 0x1A, 0x22, 0x2A}  # fields 1 to 5, each with a length
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz", ".joblib", ".dill"}
PICKLES |= {".h5", ".keras", ".msgpack", ".marshal", ".mar", ".pb"}
CODE = {".py", ".pyc", ".so", ".sh", ".ipynb", ".dll", ".js"}
LEFT_OUT = {".gitattributes", ".gitignore"}
LEFT_OUT_FOLDERS = {".git", ".cache"}
"""What every checkout of a model repository holds and no model needs. It is never copied."""

CODE_KEYS = {"auto_map", "custom_pipelines", "trust_remote_code"}

MAX_HEADER = 100_000_000  # bytes; the bound of the safetensors format itself
MAX_JSON = 256_000_000
MAX_BITS = 2**66  # of a tensor: offsets in bytes are below 2^63
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "C64": 64, "F64": 64, "I64": 64,
    "U64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


def admit(folder: Path) -> list[str]:
    """The paths of all files of ``folder`` that make up the model, sorted; each was checked.

    Raises :class:`NotAdmitted`, which names the first file that may not enter.
    """
    paths = walk(folder)
    folded: dict[str, str] = {}
    for path in paths:
        reason = refusal(path)
        if reason:
            raise NotAdmitted(f"{path}: {reason}", hint=_hint(path))
        twin = folded.setdefault(path.casefold(), path)
        if twin != path:
            raise NotAdmitted(f"{path}: differs from {twin} only in case")
    check_papers(folder, paths)
    _check_shards(folder, paths)
    if not any(p.endswith(".safetensors") for p in paths):
        raise NotAdmitted(
            f"{folder.name}: holds no .safetensors file",
            hint="convert the weights to safetensors first",
        )
    return paths


def check_papers(folder: Path, paths: list[str]) -> None:
    """Check the content of ``paths`` alone: what comes first of a model whose weights come later.
    Raises :class:`NotAdmitted`."""
    for path in paths:
        _check_content(folder / path, path)
    for where, template in chat_templates(folder, paths).items():
        check_template(template, where)


def admissible(path: str) -> bool:
    """Whether a file of this name may be asked for at all."""
    return refusal(path) is None


def refusal(path: str) -> str | None:
    """Why a file of this name may not enter; None if it may."""
    check_path(path)
    name, suffix = PurePosixPath(path).name, PurePosixPath(path).suffix.lower()
    if name in BARE_NAMES or name in TOKENIZERS or suffix in SUFFIXES:
        return None
    if suffix in PICKLES:
        return "may hold a pickle, which runs code when it is loaded"
    if suffix in CODE:
        return "is code"
    return "is of a kind that the store does not admit"


def check_path(path: str) -> str:
    """``path`` if it is a plain relative POSIX path. Raises :class:`NotAdmitted`."""
    parts = path.split("/")
    bad = (
        not path
        or any("\ud800" <= c <= "\udfff" for c in path)  # bytes of a name that are no UTF-8
        or "\\" in path
        or ":" in path
        or any(p in ("", ".", "..") or p.startswith(".") for p in parts)
        or any(ord(c) < 32 or ord(c) == 127 for c in path)
        or len(path.encode()) > 512
    )
    if bad:
        raise NotAdmitted(f"{path!r}: not a plain relative path, or a hidden one")
    return path


def walk(folder: Path, *, everything: bool = False) -> list[str]:
    """Every file below ``folder``, sorted; with ``everything``, also what is never copied.

    Raises :class:`NotAdmitted` at a link or a device.
    """
    if not folder.is_dir():
        raise NotAdmitted(f"{folder}: not a folder")
    return sorted(_walk(folder, "", everything))


def _walk(folder: Path, prefix: str, everything: bool) -> Iterator[str]:
    with os.scandir(folder) as found:
        for item in found:
            path = prefix + item.name
            mode = item.stat(follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                raise NotAdmitted(f"{path}: is a symbolic link", hint="copy what it points to")
            if stat.S_ISDIR(mode):
                if everything or item.name not in LEFT_OUT_FOLDERS:
                    yield from _walk(Path(item.path), path + "/", everything)
            elif not stat.S_ISREG(mode):
                raise NotAdmitted(f"{path}: is not a regular file")
            elif everything or item.name not in LEFT_OUT:
                yield path


def _hint(path: str) -> str:
    if PurePosixPath(path).suffix.lower() in PICKLES:
        return "take the safetensors variant of this model, or leave the file out"
    return "leave it out: the store holds weights, tokenizer, configuration and text"


def _check_content(file: Path, path: str) -> None:
    if path.endswith(".safetensors"):
        check_safetensors(file, path)
    elif path.endswith(".json"):
        value = _read_json(file, path)
        key = _names_code(value) if path.endswith("config.json") else None
        if path.endswith("modules.json") and not _known_modules(value):
            key = "type"
        if key is not None:
            raise NotAdmitted(
                f"{path}: {key} asks for code from a repository or a package",
                hint="take a model whose architecture transformers knows",
            )
    elif PurePosixPath(path).name in TOKENIZERS:
        if not is_tokenizer(file.read_bytes()):
            raise NotAdmitted(f"{path}: is neither sentencepiece's protobuf nor tiktoken's list")
    else:
        try:
            file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise NotAdmitted(f"{path}: is not UTF-8 text") from None


def is_tokenizer(raw: bytes) -> bool:
    """Whether ``raw`` is a sentencepiece model or a list of tiktoken's, from its first byte to its
    last: neither is any pickle. https://protobuf.dev/programming-guides/encoding/
    """
    if TIKTOKEN.fullmatch(raw):
        return True
    at = 0
    while at < len(raw):
        # ModelProto has a message in each field: pieces, trainer, normalizers, self test data.
        if raw[at] not in SENTENCEPIECE:
            return False
        at += 1
        length = shift = 0
        while at < len(raw) and shift < 35:
            length |= (raw[at] & 127) << shift
            shift += 7
            at += 1
            if raw[at - 1] < 128:
                break
        at += length
    return at == len(raw) > 0


def _names_code(value: Any) -> str | None:
    """The key that names code, anywhere in a configuration: sub-configurations are loaded too."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key in CODE_KEYS and item:
                return str(key)
            # PEFT imports the module that stands here.
            if key == "parent_library" and not str(item).startswith(("transformers.", "peft.")):
                return str(key)
            if (found := _names_code(item)) is not None:
                return found
    elif isinstance(value, list):
        for item in value:
            if (found := _names_code(item)) is not None:
                return found
    return None


def _known_modules(value: Any) -> bool:
    """Whether a ``modules.json`` names classes of sentence-transformers alone: it imports them."""
    return isinstance(value, list) and all(
        isinstance(m, dict) and str(m.get("type")).startswith("sentence_transformers.")
        for m in value
    )


def _read_json(file: Path, path: str) -> Any:
    if file.stat().st_size > MAX_JSON:
        raise NotAdmitted(f"{path}: too large for a JSON file")
    try:
        return json.loads(file.read_bytes(), object_pairs_hook=_no_twice(path))
    except (ValueError, RecursionError):
        raise NotAdmitted(f"{path}: is not JSON") from None


def _no_twice(path: str) -> Any:
    # Two readers may take a different one of the two, and only one of them was checked.
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(items)
        if len(table) != len(items):
            raise NotAdmitted(f"{path}: has the same key twice")
        return table

    return pairs


def _check_shards(folder: Path, paths: list[str]) -> None:
    """Every file that an index names is there, so that a half-copied model is refused now."""
    for path in paths:
        if not path.endswith(".safetensors.index.json"):
            continue
        index = _read_json(folder / path, path)
        shards = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(shards, dict) or not all(isinstance(v, str) for v in shards.values()):
            raise NotAdmitted(f"{path}: is not an index of weights")
        prefix = path.rpartition("/")[0]
        for shard in sorted(set(shards.values())):
            wanted = f"{prefix}/{shard}" if prefix else shard
            if wanted not in paths:
                raise NotAdmitted(f"{path}: names {wanted!r}, which is not there")


def check_safetensors(file: Path, path: str) -> None:
    """Hold ``file`` against the format: eight bytes of header length, a JSON header, and tensors
    that lie side by side and fill the file exactly, so nothing can hide behind or between them.

    https://huggingface.co/docs/safetensors#format
    """

    def refuse(what: str) -> NotAdmitted:
        return NotAdmitted(f"{path}: not a valid safetensors file: {what}")

    size = file.stat().st_size
    with file.open("rb") as f:
        head = f.read(8)
        if len(head) < 8:
            raise refuse("shorter than its header length")
        (length,) = struct.unpack("<Q", head)
        if length > MAX_HEADER or 8 + length > size:
            raise refuse("the header is longer than the file or the format's bound")
        raw = f.read(length)
    if not raw.startswith(b"{"):
        raise refuse("the header is not a JSON object")
    try:
        header = json.loads(raw, object_pairs_hook=_no_twice(path))
    except (ValueError, RecursionError):
        raise refuse("the header is not JSON") from None
    notes = header.pop("__metadata__", {})
    if not isinstance(notes, dict) or not all(isinstance(v, str) for v in notes.values()):
        raise refuse("__metadata__ is not a table of strings")
    spans: list[tuple[int, int]] = []
    for tensor in header.values():
        span = _span(tensor)
        if span is None:
            raise refuse("a tensor's dtype, shape and offsets do not belong together")
        spans.append(span)
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise refuse("tensors overlap" if start < end else "there is a gap between tensors")
        end = stop
    if 8 + length + end != size:
        raise refuse("the tensors do not fill the file exactly")


def _span(tensor: Any) -> tuple[int, int] | None:
    """A tensor's (start, end), if all that its header says of it agrees."""
    if not isinstance(tensor, dict) or tensor.keys() != {"dtype", "shape", "data_offsets"}:
        return None
    shape, offsets = tensor["shape"], tensor["data_offsets"]
    bits = BITS.get(tensor["dtype"]) if isinstance(tensor["dtype"], str) else None
    if bits is None or not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        return None
    for n in shape:
        bits *= n
        if bits > MAX_BITS:  # also if a 0 follows; a product of many would take hours
            return None
    start, stop = offsets
    return (start, stop) if bits % 8 == 0 and stop - start == bits // 8 else None


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)
