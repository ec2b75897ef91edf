"""Audio as it may leave: only the sound of WAV and MP3, without tags, pictures or comments.

What is said in it is read by a transcriber, elsewhere.
"""

from __future__ import annotations

import struct

__all__ = ["clean"]


def clean(data: bytes, kind: str) -> bytes | None:
    """``data`` without all that is no sound; ``None`` if it is not built as its kind is."""
    try:
        return {"wav": _wav, "mp3": _mp3}[kind](data)
    except (struct.error, IndexError, ValueError):
        return None


def _wav(data: bytes) -> bytes | None:
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    kept: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(data) and len(kept) < 2:
        name, size = struct.unpack_from("<4sI", data, at)
        if name in (b"fmt ", b"data"):
            # A recorder that streams does not know the size of what it writes.
            kept[name] = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    if b"fmt " not in kept or b"data" not in kept or not 16 <= len(kept[b"fmt "]) <= 40:
        return None
    out = b""
    for name, content in kept.items():
        out += struct.pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(out) + 4) + b"WAVE" + out


_BITRATES = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _mp3(data: bytes) -> bytes | None:
    """The frames of layer III, one after the other; tags stand before and behind them."""
    at = 0
    while data[at : at + 3] == b"ID3":
        a, b, c, d = data[at + 6 : at + 10]
        at += 10 + ((a & 127) << 21 | (b & 127) << 14 | (c & 127) << 7 | (d & 127))
    frames = []
    while at + 4 <= len(data):
        first, second, third = data[at], data[at + 1], data[at + 2]
        version, layer = second >> 3 & 3, second >> 1 & 3
        rate, frequency = third >> 4, third >> 2 & 3
        if first != 0xFF or second & 0xE0 != 0xE0 or version == 1 or layer != 1:
            break
        if rate in (0, 15) or frequency == 3:
            break
        bits = _BITRATES[3 if version == 3 else 2][rate] * 1000
        size = (144 if version == 3 else 72) * bits // _RATES[version][frequency]
        size += third >> 1 & 1
        frames.append(data[at : at + size])
        at += size
    return b"".join(frames) if len(frames) > 2 else None
