"""``[documents]`` of sovereign.toml as a reader of documents."""

from __future__ import annotations

import os

from sovereign.config import DocumentsConfig
from sovereign.errors import ConfigError, Unreadable
from sovereign.guard.documents import Documents
from sovereign.guard.documents.limits import DocumentLimits
from sovereign.types import JSON

__all__ = ["Transcriber", "documents_from"]


def documents_from(settings: DocumentsConfig) -> Documents:
    """As ``settings`` say. Nothing is loaded or started yet. Raises :class:`ConfigError`."""
    limits = DocumentLimits(
        max_unpacked=settings.max_unpacked,
        max_members=settings.max_members,
        max_depth=settings.max_depth,
        max_pages=settings.max_pages,
        max_pixels=settings.max_pixels,
        seconds=settings.seconds,
        memory=settings.memory,
    )
    transcribe = None
    if settings.transcriber is not None:
        variable = settings.transcriber_key_env
        key = os.environ.get(variable) if variable else None
        if variable and not key:
            raise ConfigError(
                f"{variable} is not set, and the transcriber needs it", hint=f"export {variable}=…"
            )
        transcribe = Transcriber(
            settings.transcriber, settings.transcriber_model, key, settings.seconds
        )
    return Documents(
        limits,
        ocr=settings.ocr,
        redact=settings.redact,
        transcribe=transcribe,
        processes=settings.processes,
    )


class Transcriber:
    """Asks ``/audio/transcriptions`` of a server inside, the one that the configuration names."""

    def __init__(self, base_url: str, model: str, key: str | None, seconds: float) -> None:
        self._url = f"{base_url.rstrip('/')}/audio/transcriptions"
        self._model, self._key, self._seconds = model, key, seconds

    def __repr__(self) -> str:
        return f"Transcriber({self._model})"

    def __call__(self, sound: bytes, kind: str) -> str:
        """What is said in it. Raises :class:`Unreadable` if the server does not answer as it
        should."""
        import httpx2

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            with httpx2.Client(trust_env=False, timeout=self._seconds) as client:
                answer = client.post(
                    self._url,
                    headers=headers,
                    data={"model": self._model, "response_format": "json"},
                    files={"file": (f"audio.{kind}", sound)},
                )
            said: JSON = answer.json()["text"] if answer.status_code == 200 else None
        except (httpx2.HTTPError, ValueError, KeyError, TypeError):
            said = None
        if not isinstance(said, str):
            raise Unreadable(
                "the transcriber did not answer, so audio cannot be read",
                hint="[documents] transcriber in sovereign.toml",
            )
        return said
