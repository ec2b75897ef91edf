"""What was forgotten is seen: the loss of rows that have nothing to do with training, before and
after, in report and passport; and a limit that holds. On a tiny model, from rows to papers."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sovereign.errors import ConfigError, MissingExtra, TuneError
from sovereign.tune.recipe import Recipe, load_recipe
from sovereign.tune.record import RunRecord
from sovereign.tune.run import run
from sovereign.weights import passport
from sovereign.weights.store import Store

torch = pytest.importorskip("torch")

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
ROWS = [{"prompt": f"Where is ward {n}?", "completion": f"On level {n}."} for n in range(9)]
GENERAL: list[dict[str, str]] = [
    {"text": f"A heron waits at bend {n}, where the river is slow, for what comes."}
    for n in range(9)
]
GENERAL += [{"prompt": f"Name tree {n}.", "completion": f"Willow {n}, alder"} for n in range(3)]
NAMED = 'general.rows="general.jsonl"'


def recipe(folder: Path, *more: str, general: list[dict[str, str]] = GENERAL) -> Recipe:
    folder.mkdir(exist_ok=True)
    for name, rows in (("rows", ROWS), ("general", general)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "r.toml").write_text(
        'name = "r"\nmodel = "tiny"\n[data]\ntrain = "rows.jsonl"\n[train]\nsteps = 20\n'
        'method = "full"\nbatch = 3\nlr = 0.06\nprecision = "fp32"\nthreads = 1\n'
    )
    return load_recipe(folder / "r.toml", more)


@pytest.fixture(scope="module")
def done(store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunRecord]:
    """A run that learns its rows so hard that it forgets."""
    root = tmp_path_factory.mktemp("done")
    return root / "run", run(recipe(root / "r", NAMED), store, root / "run", key=KEY)


def test_what_was_forgotten_is_in_passport_report_and_card(done: tuple[Path, RunRecord]) -> None:
    """The mean rise of the paired losses, whose interval is above zero here, and the answers of
    those rows that have one; no row's words."""
    out, made = done
    said = made.data["general"]
    assert said["rows"] == 12
    assert said["rise"]["mean"] == pytest.approx(
        said["after"]["mean"] - said["before"]["mean"], abs=1e-3
    )
    assert said["rise"]["low"] > 0
    assert [score["rows"] for score in said["exact"]] == [3, 3]
    assert said["tasks"] == {}
    assert len(made.data["data"]["general"]["sha256"]) == 64
    signed = passport.read(out / "model", [KEY.public_key()]).predicate
    assert signed["general"] == said
    assert "What it can do besides" in (out / "report.html").read_text()
    assert "loss of 12 general rows" in (out / "model" / "README.md").read_text()
    for file in out.rglob("*"):
        if file.is_file():
            assert b"heron" not in file.read_bytes(), file


def test_a_run_that_forgot_more_than_it_may_keeps_no_adapter(store: Store, tmp_path: Path) -> None:
    """And one that did not is kept, by the same limit: the upper end of the interval counts."""
    limit = "general.rise_at_most=0.05"
    with pytest.raises(TuneError, match=r"over general.rise_at_most 0\.05"):
        run(recipe(tmp_path / "r", NAMED, limit), store, tmp_path / "hard", key=KEY)
    assert not (tmp_path / "hard" / "model").exists()
    mild = recipe(tmp_path / "r", NAMED, limit, "train.lr=1e-4", "train.steps=2")
    made = run(mild, store, tmp_path / "mild", key=KEY)
    assert made.data["general"]["rise"]["high"] < 0.05
    assert math.isfinite(made.data["general"]["before"]["mean"])


def test_general_rows_are_no_training_rows(store: Store, tmp_path: Path) -> None:
    """What is trained on says nothing of forgetting; nor does one row, or rows with personal data
    that nobody let through."""
    both = recipe(tmp_path / "a", NAMED, general=[*GENERAL, ROWS[0]])
    with pytest.raises(TuneError, match=r"general\.jsonl:13: is trained on too"):
        run(both, store, tmp_path / "out", key=KEY)
    lone = recipe(tmp_path / "b", NAMED, general=GENERAL[:1])
    with pytest.raises(TuneError, match="say nothing of what is forgotten"):
        run(lone, store, tmp_path / "out", key=KEY)
    person = {"text": "Write to maria.keller@example.org about SSN 536-22-8714."}
    told = recipe(tmp_path / "c", NAMED, general=[*GENERAL, person])
    with pytest.raises(TuneError, match=r"general\.jsonl") as failed:
        run(told, store, tmp_path / "out", key=KEY)
    assert "keller" not in str(failed.value)


@pytest.mark.parametrize(
    ("says", "more"),
    [
        ("has rows, or tasks", ["general.limit=5"]),
        ("rise_at_most needs rows", ['general.tasks=["x"]', "general.rise_at_most=1"]),
    ],
)
def test_a_table_that_measures_nothing_is_refused(
    tmp_path: Path, says: str, more: list[str]
) -> None:
    """As a recipe."""
    with pytest.raises(ConfigError, match=says):
        recipe(tmp_path / "r", *more)


@pytest.mark.parametrize(
    ("more", "extra"),
    [
        ('general.tasks=["arc_easy"]', "lm-eval"),
        ("metrics.mlflow=true", "mlflow"),
        ("metrics.tensorboard=true", "tensorboard"),
    ],
)
def test_what_is_not_installed_is_said_before_training(
    store: Store, tmp_path: Path, more: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the extra that brings it; nothing is left of the run."""
    for name in ("lm_eval", "mlflow", "tensorboardX"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra) as failed:
        run(recipe(tmp_path / "r", more), store, tmp_path / "out", key=KEY)
    assert f"sovereign-toolkit[{extra}]" in (failed.value.hint or "")
    assert not (tmp_path / "out").exists()
