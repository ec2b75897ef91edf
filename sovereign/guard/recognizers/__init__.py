"""Builds the list of recognisers that the configuration names. Installed is not enabled."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sovereign import plugins
from sovereign.errors import ConfigError
from sovereign.guard.recognizers.labels import LabelsRecognizer
from sovereign.guard.recognizers.rules import RulesRecognizer
from sovereign.guard.recognizers.secrets import SecretsRecognizer
from sovereign.types import Recognizer

if TYPE_CHECKING:
    from sovereign.config import GuardConfig
    from sovereign.policy import Policy

__all__ = ["build", "from_config"]

DEFAULT_NER = "tagger"


def from_config(
    settings: GuardConfig, *, folder: Path = Path(), policy: Policy | None = None
) -> list[Recognizer]:
    """The recognisers of ``[guard]``, and those that only ``policy`` needs. Relative paths start in
    ``folder``. Raises :class:`ConfigError` or :class:`MissingExtra`."""
    found = build(
        settings.ner,
        settings.plugins,
        presidio=settings.presidio,
        second=settings.second_opinion,
        folder=folder,
    )
    if settings.presidio_registry is not None:
        from sovereign.guard.recognizers.engine import registry

        found += registry(folder / settings.presidio_registry)
    if policy is not None and policy.combines("GENDER"):
        from sovereign.guard.recognizers.gender import GenderRecognizer

        found.append(GenderRecognizer())
    if policy is not None and policy.acts_on("NRP"):
        from sovereign.guard.recognizers.nrp import NrpRecognizer

        found.append(NrpRecognizer())
    if settings.roster:
        from sovereign.guard.recognizers.roster import RosterRecognizer, read_key

        key = read_key(folder / (settings.roster_key_file or settings.key_file))
        found += [RosterRecognizer(folder / path, key) for path in settings.roster]
    return found


def build(
    ner: str = DEFAULT_NER,
    names: tuple[str, ...] = (),
    *,
    presidio: bool = False,
    second: str | None = None,
    folder: Path = Path(),
) -> list[Recognizer]:
    """Rules, labels, secrets, the recogniser of names that ``ner`` says, plugins; and all of
    Presidio's own patterns if ``presidio``. Nothing of Presidio is imported unless it is named."""
    found: list[Recognizer] = [RulesRecognizer(), LabelsRecognizer(), SecretsRecognizer()]
    # First, since an engine needs all of what presidio imports, and its first import decides.
    names_by = _ner(ner, folder) if second is None else _cascade(ner, second, folder)
    if presidio:
        from sovereign.guard.recognizers.presidio import predefined

        found += predefined()
    found += names_by
    for name in names:
        found.append(_plugin(name))
    return found


def _ner(ner: str, folder: Path) -> list[Recognizer]:
    kind, _, package = ner.partition(":")
    if ner == "none":
        return []
    if kind == "spacy" and package:
        from sovereign.guard.recognizers.spacy_ner import SpacyRecognizer

        return [SpacyRecognizer(package)]
    if kind == "engine" and package:
        from sovereign.guard.recognizers.engine import EngineRecognizer

        return [EngineRecognizer(folder / package)]
    if kind == "onnx" and package:
        from sovereign.guard.recognizers.onnx_ner import OnnxRecognizer

        return [OnnxRecognizer(folder / package)]
    if ner == "tagger":
        from sovereign.guard.recognizers.tagger import Tagger

        return [Tagger()]
    raise ConfigError(
        f"guard.ner: {ner!r} is no recogniser of names",
        hint='"tagger", "spacy:PACKAGE", "onnx:FOLDER", "engine:FILE" (Presidio\'s), or "none"',
    )


def _cascade(ner: str, second: str, folder: Path) -> list[Recognizer]:
    if ner != "tagger" or second in ("tagger", "none"):
        raise ConfigError(
            "guard.second_opinion is asked where the tagger is unsure",
            hint='ner = "tagger", and another recogniser as the second opinion',
        )
    (slower,) = _ner(second, folder)
    from sovereign.guard.recognizers.cascade import Cascade
    from sovereign.guard.recognizers.tagger import Tagger

    return [Cascade(Tagger(), slower)]


def _plugin(name: str) -> Recognizer:
    """An entry point: a recogniser, a class or function that makes one, or one of Presidio's."""
    made: Any = plugins.load("sovereign.recognizers", name)
    if inspect.isclass(made) or inspect.isfunction(made):
        made = made()
    # Whoever made one of Presidio's has imported it already.
    presidio = sys.modules.get("presidio_analyzer")
    if presidio is not None and isinstance(made, presidio.EntityRecognizer):
        from sovereign.guard.recognizers.presidio import PresidioRecognizer

        return PresidioRecognizer(made)
    if not all(hasattr(made, part) for part in ("name", "build", "recognize")):
        raise ConfigError(
            f"plugin {name!r} is no recogniser", hint="see sovereign.types.Recognizer"
        )
    recognizer: Recognizer = made
    return recognizer
