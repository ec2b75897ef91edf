"""Every kind of secret is found whole, freshly drawn; what only looks as random stays quiet."""

from __future__ import annotations

import random
import time

import pytest
from secret_kinds import KINDS, LOOKALIKES

from sovereign.guard.recognizers.secrets import SecretsRecognizer, kinds, likely
from sovereign.guard.recognizers.secrets.kinds import entropy

RECOGNIZER = SecretsRecognizer()


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_of_each_kind_is_found_whole(kind: str) -> None:
    """Ten of each, never the same pattern twice; the finding must not leave an end of it behind."""
    rng = random.Random(f"unit {kind}")
    for _ in range(10):
        text, value = KINDS[kind](rng)
        start = text.index(value)
        covered = bytearray(len(text))
        for f in RECOGNIZER.recognize(text):
            assert f.entity == "SECRET"
            covered[f.start : f.end] = b"\1" * (f.end - f.start)
        assert all(covered[start : start + len(value)]), kind


@pytest.mark.parametrize("name", LOOKALIKES)
def test_what_only_looks_random_is_left_alone(name: str) -> None:
    """Hashes, lockfiles, images, public keys, placeholders and sentences about passwords."""
    assert [f.recognizer for f in RECOGNIZER.recognize(LOOKALIKES[name])] == []


@pytest.mark.parametrize(
    "text",
    [
        "key sk-proj-aB3dE5gH7jK9mN1pQ3sT5vW7",
        "AKIAIOSFODNN7EXAMPLE",
        "xapp-1-A0B1C2-d3e4",
        "nvapi-aB3dE5gH7jK9mN1pQ3sT",
        "PMAK-0123456789abcdef01234567-0123456789abcdef0123456789abcdef01",
        "sntrys_eyJpYXQiOjE2OTk5MDk5",
        "r8_aB3dE5gH7jK9mN1pQ3sT",
        "lin_api_aB3dE5gH7jK9mN1pQ3sT5vW7xY9zA1",
        "pat_aB3dE5gH7jK9mN1pQ3sT5vW7xY9zA1",
        "sqp_0123456789abcdef0123456789abcdef01234567",
        "EAACEdEose0cBAaB3dE5gH7j",
        "hf_aB3dE5gH7jK9mN1pQ3sT",
    ],
)
def test_a_short_token_of_an_issuer_is_found(text: str) -> None:
    """Issuers change the length of their tokens; the prefix is proof enough."""
    value = text.rpartition(" ")[2]
    assert value in {text[f.start : f.end] for f in RECOGNIZER.recognize(text)}


def test_asking_for_hints_first_never_changes_what_is_found() -> None:
    """Every kind's pattern on every text, against the recogniser that skips most of them."""
    rng = random.Random("hints")
    texts = [*LOOKALIKES.values(), *(KINDS[kind](rng)[0] for kind in KINDS for _ in range(3))]
    texts += [text.replace(" ", "\n") for text in texts] + [text.swapcase() for text in texts]
    for text in texts:
        tried = {
            (kind.name, *match.span())
            for kind in kinds.KINDS
            for match in kind.pattern.finditer(text)
        }
        for kind in kinds.KINDS:
            hinted = kind in likely(text)
            assert hinted or kind.name not in {name for name, _, _ in tried}, (kind.name, text)


@pytest.mark.parametrize(
    "unit",
    ["password", "a", "sk-", "eyJ", "://", "AKIA", "-----BEGIN PRIVATE KEY-----", "x_", "= "],
)
def test_reading_secrets_takes_linear_time(unit: str) -> None:
    """Eight times the text may take about eight times as long, however hostile it is."""

    def spent(size: int) -> float:
        text = (unit * size)[:size]
        start = time.process_time()
        RECOGNIZER.recognize(text)
        return time.process_time() - start

    spent(1000)
    assert spent(32_000) < 40 * max(spent(4_000), 0.002)


def test_entropy_counts_bits_per_character() -> None:
    """One character has none, sixteen different ones have four."""
    assert entropy("aaaa") == 0
    assert entropy("0123456789abcdef") == 4
