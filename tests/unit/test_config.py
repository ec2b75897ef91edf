"""sovereign.toml is read strictly: a mistake is named with file, key and what is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from sovereign.config import load_config
from sovereign.errors import ConfigError

GOOD = """
[policy]
preset = "hipaa"
[upstream.openai]
side = "hosted"
base_url = "https://api.openai.com/v1/"
api_key_env = "OPENAI_API_KEY"
models = ["gpt-*"]
[models.clinic]
base = "smollm2"
adapter = "runs/a"
[gateway]
local_model = "clinic"
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "sovereign.toml"
    file.write_text(text)
    return file


def test_a_good_file_becomes_frozen_models_with_paths_relative_to_it(tmp_path: Path) -> None:
    """A configuration means the same from whatever folder the command is started in."""
    config = load_config(write(tmp_path, GOOD))
    assert config.upstream["openai"].base_url == "https://api.openai.com/v1"
    assert config.resolve(config.audit.path) == tmp_path / ".sovereign/audit"
    assert [(d.name, d.side) for d in config.destinations()] == [
        ("openai", "hosted"),
        ("clinic", "local"),
    ]
    with pytest.raises(ValueError, match="frozen"):
        config.gateway.port = 1


MISTAKES = {
    "unknown table": (GOOD + "\n[polizy]\n", "unknown key polizy", "did you mean policy?"),
    "unknown key deep in a named table": (
        GOOD.replace("api_key_env", "api_key"),
        "unknown key upstream.openai.api_key",
        "did you mean api_key_env?",
    ),
    "a key that resembles nothing": (
        GOOD + "\n[keys]\nzzz = 1\n",
        "unknown key keys.zzz",
        "keys here: file",
    ),
    "missing policy": (
        GOOD.replace("[policy]\n", "[weights]\n").replace("preset", "lock"),
        "policy is missing",
        "preset",
    ),
    "a secret instead of its name": (
        GOOD.replace('"OPENAI_API_KEY"', '"sk-abc-123"'),
        "upstream.openai.api_key_env: must be the name of an environment variable",
        "environment variable",
    ),
    "a number as text": (
        GOOD + 'port = "80"\n',
        "gateway.port: input should be a valid integer",
        "port to listen",
    ),
    "a text where a list stands": (
        GOOD.replace('["gpt-*"]', '"gpt-*"'),
        "upstream.openai.models: input should be a list",
        "the models it serves",
    ),
    "a text where a table stands": ('guard = "x"\n' + GOOD, "guard: input should be a table", ""),
    "a port out of range": (GOOD + "port = 70000\n", "gateway.port", ""),
    "an unknown side": (GOOD.replace('"hosted"', '"outside"'), "upstream.openai.side", "hosted"),
    "a URL with a password": (
        GOOD.replace("https://api", "https://me:pw@api"),
        "upstream.openai.base_url: must hold no user",
        "",
    ),
    "a URL of another scheme": (
        GOOD.replace("https://api", "file://api"),
        "upstream.openai.base_url: must be an http://",
        "",
    ),
    "a local model that nobody runs": (
        GOOD.replace('local_model = "clinic"', 'local_model = "clinik"'),
        "gateway.local_model 'clinik' is not a local model; there are: clinic",
        "",
    ),
    "a name used twice": (
        GOOD.replace("models.clinic", "models.openai"),
        "is both an upstream and a model",
        "",
    ),
    "a name that the log could not hold": (
        GOOD.replace("[upstream.openai]", '[upstream."my api"]'),
        "a name is letters, digits",
        "",
    ),
    "a model that the log could not hold": (
        GOOD.replace('"gpt-*"', '"gpt 4"'),
        "upstream.openai.models.0: a model is letters",
        "",
    ),
    "not TOML": ("[policy\n", "not TOML", ""),
    "preset and file together": (
        GOOD.replace('preset = "hipaa"', 'preset = "hipaa"\nfile = "x.toml"'),
        "policy: needs either preset or file",
        "",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_file_key_and_what_is_right(tmp_path: Path, mistake: str) -> None:
    """A guard that starts with a half-understood configuration guards something else."""
    text, message, hint = MISTAKES[mistake]
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert str(file) in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message
    assert "sk-abc-123" not in caught.value.message + caught.value.hint
    assert "pw" not in caught.value.hint


def test_a_missing_file_and_a_file_of_bytes_are_clear(tmp_path: Path) -> None:
    """The two commonest first steps that go wrong."""
    with pytest.raises(ConfigError, match="no such file") as caught:
        load_config(tmp_path / "sovereign.toml")
    assert "sovereign init" in caught.value.hint
    (tmp_path / "sovereign.toml").write_bytes(b"[policy]\npreset = '\xff'")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 19"):
        load_config(tmp_path / "sovereign.toml")
