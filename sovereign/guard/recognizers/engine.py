"""Any NLP engine of Presidio's as the recogniser of names, from its own configuration file: spaCy,
Stanza, transformers. And a recogniser registry's YAML (GLiNER included), loaded unchanged.

Nothing is downloaded: a model that is not on this machine is an error.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sovereign.errors import ConfigError
from sovereign.guard.recognizers.presidio import PresidioRecognizer, import_presidio
from sovereign.types import Finding

__all__ = ["EngineRecognizer", "registry"]


class EngineRecognizer:
    """What the engine of ``conf`` finds in the first language that it names. One text at a time."""

    by_words = True

    def __init__(self, conf: Path) -> None:
        """``conf`` is an NLP engine configuration as Presidio documents it. Raises
        :class:`ConfigError`, also where a model or a package is missing."""
        raw = _read(conf)
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        import_presidio(whole=True)
        provider = importlib.import_module("presidio_analyzer.nlp_engine")
        try:
            made = provider.NlpEngineProvider(nlp_engines=_engines(provider), conf_file=str(conf))
            self._engine: Any = made.create_engine()
            self._language = str(made.nlp_configuration["models"][0]["lang_code"])
        except ConfigError:
            raise
        except Exception as e:  # noqa: BLE001 - each engine has errors of its own
            raise ConfigError(
                f"{conf}: the engine cannot be made ({type(e).__name__}: {e})",
                hint="install its packages and models; nothing is downloaded",
            ) from None
        self.name = f"engine:{self._engine.engine_name}"
        self.build = hashlib.sha256(raw).hexdigest()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"EngineRecognizer({self.name})"

    def recognize(self, text: str) -> Sequence[Finding]:
        """Entities under Presidio's names, with the engine's scores."""
        with self._lock:
            seen = self._engine.process_text(text, self._language)
            found = [
                (e.start_char, e.end_char, str(e.label_), float(score))
                for e, score in zip(seen.entities, seen.scores, strict=False)
            ]
        return [
            Finding((), start, end, entity, min(1.0, max(0.0, score)), self.name)
            for start, end, entity, score in found
            if start < end
        ]


def registry(conf: Path) -> list[PresidioRecognizer]:
    """The recognisers of a registry's YAML, without those that only hand on what an NLP engine
    found (``ner`` names that engine). Raises :class:`ConfigError`."""
    _read(conf)
    module = import_presidio()
    shelf = module.predefined_recognizers
    try:
        provider = module.recognizer_registry.RecognizerRegistryProvider(conf_file=str(conf))
        made = provider.create_recognizer_registry().recognizers
    except Exception as e:  # noqa: BLE001 - pydantic, yaml, imports, and what they wrap
        raise ConfigError(f"{conf}: {type(e).__name__}: {e}") from None
    return [PresidioRecognizer(r) for r in made if not isinstance(r, shelf.SpacyRecognizer)]


def _read(conf: Path) -> bytes:
    try:
        return conf.read_bytes()
    except OSError as e:
        raise ConfigError(f"{conf}: {e.strerror}") from None


def _engines(provider: Any) -> tuple[Any, ...]:
    """Presidio's engines, without their downloads."""

    def installed(name: str) -> None:
        import spacy

        if not (spacy.util.is_package(name) or Path(name).exists()):
            raise ConfigError(
                f"the spaCy model {name} is not installed", hint="pip install it from your index"
            )

    class Spacy(provider.SpacyNlpEngine):  # type: ignore[misc]
        _download_spacy_model_if_needed = staticmethod(installed)

    class Transformers(provider.TransformersNlpEngine):  # type: ignore[misc]
        _download_spacy_model_if_needed = staticmethod(installed)

    class Stanza(provider.StanzaNlpEngine):  # type: ignore[misc]
        def __init__(self, models: Any = None, ner_model_configuration: Any = None) -> None:
            super().__init__(
                models, download_if_missing=False, ner_model_configuration=ner_model_configuration
            )

    return Spacy, Transformers, Stanza
