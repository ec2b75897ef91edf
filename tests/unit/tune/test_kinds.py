"""Each way to train: a whole model, DoRA, and updates on weights in four bits or eight. Each run is
a real one, on a tiny model, from rows to signed papers; killed and gone on with; and exported."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sovereign.errors import ConfigError, PassportRefused, ServeError, TuneError
from sovereign.tune.recipe import Recipe, load_recipe
from sovereign.tune.record import RunRecord
from sovereign.tune.run import run
from sovereign.weights import passport
from sovereign.weights.store import Store

torch = pytest.importorskip("torch")

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
TRUST = [KEY.public_key()]
ROWS = [{"prompt": f"Where is ward {n}?", "completion": f"On level {n}."} for n in range(9)]
WAYS = {
    "full": ["train.method=full", "train.lr=1e-3"],
    "dora": ["lora.kind=dora", "lora.r=2"],
    "int8": ["train.quantize=int8", "lora.r=2"],
    "dora-nf4": ["lora.kind=dora", "train.quantize=nf4", "lora.r=2"],
}


class Killed(BaseException):
    pass


def recipe(folder: Path, *more: str) -> Recipe:
    folder.mkdir(exist_ok=True)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "r.toml").write_text(
        'name = "r"\nmodel = "tiny"\n[data]\ntrain = "rows.jsonl"\n[train]\nsteps = 4\n'
        'batch = 2\nlr = 0.01\nprecision = "fp32"\nthreads = 1\ncheckpoint_every = 2\n'
    )
    return load_recipe(folder / "r.toml", more)


@pytest.fixture(scope="module", params=WAYS)
def done(
    request: pytest.FixtureRequest, store: Store, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, RunRecord]:
    """One run of each way, which the tests look at."""
    root = tmp_path_factory.mktemp("done")
    made = run(recipe(root / "r", *WAYS[request.param]), store, root / "run", key=KEY)
    return request.param, root / "run", made


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_each_way_is_gone_on_with_and_leaves_signed_papers(
    done: tuple[str, Path, RunRecord], store: Store, tmp_path: Path
) -> None:
    """The curve of a run that was killed after its third step is that of one that was not, to the
    last bit; what is left is what the passport says, and a changed file is found."""
    way, whole, made = done
    assert made.data["training"]["loss_last"] < made.data["training"]["loss_first"]
    assert made.data["checks"]["weight_delta"] > 0
    assert made.is_model == (way == "full")

    def kill(update: Any) -> None:
        if update.phase == "train" and update.done == 3:
            raise Killed

    again = recipe(tmp_path / "r", *WAYS[way])
    with pytest.raises(Killed):
        run(again, store, tmp_path / "killed", key=KEY, progress=kill)
    run(again, store, tmp_path / "killed", key=KEY)
    assert losses(tmp_path / "killed") == losses(whole)
    folder = tmp_path / "killed" / ("model" if way == "full" else "adapter")
    base = store.entry("tiny").digest
    if way == "full":
        said = passport.admit_model(folder, TRUST)
        with pytest.raises(PassportRefused):
            passport.admit(folder, base, TRUST)
    else:
        said = passport.admit(folder, base, TRUST)
    assert said.base_digest == base
    assert said.digest == made.digest  # to the last bit
    assert "level 3" not in (folder / "README.md").read_text()
    file = next(folder.glob("*.safetensors"))
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(PassportRefused, match="is not what its passport says"):
        passport.admit_model(folder, TRUST) if way == "full" else passport.admit(
            folder, base, TRUST
        )


def test_an_adapter_is_known_by_what_it_does(
    done: tuple[str, Path, RunRecord], store: Store, tmp_path: Path
) -> None:
    """The passport has its fingerprint; the engine, over the whole base, finds it again. One that
    does the opposite is refused, whoever signed it. A whole model has none."""
    from safetensors.torch import load_file, save_file

    from sovereign.serve.engines import model as engine

    way, whole, made = done
    assert ("effect" in made.data) == (way != "full")
    if way != "int8":  # DoRA is served merged
        return
    told = {"": passport.read(whole / "adapter", TRUST).predicate["effect"]}
    options: Any = {"dtype": "float32", "max_context": 64}
    engine.load(store.get("tiny"), {"": whole / "adapter"}, told, **options)
    shutil.copytree(whole / "adapter", tmp_path / "turned")
    file = tmp_path / "turned" / "adapter_model.safetensors"
    save_file({k: -v if "lora_B" in k else v for k, v in load_file(file).items()}, file)
    with pytest.raises(ServeError, match="otherwise than its passport says"):
        engine.load(store.get("tiny"), {"": tmp_path / "turned"}, told, **options)


def test_each_way_is_exported_as_one_model(
    done: tuple[str, Path, RunRecord], store: Store, tmp_path: Path
) -> None:
    """An update merged in, a whole model cast: read back, the logits are those of training."""
    from sovereign.tune.export import export

    way, whole, _ = done
    folder = whole / ("model" if way == "full" else "adapter")
    out = tmp_path / "out"
    made = export(folder, store, out, dtype="float32", key=KEY, trust=TRUST)
    assert made.cast_off < made.moved / 100
    said = passport.admit_merged(out, TRUST)
    assert ("model" if way == "full" else "adapter") in said.predicate
    assert str(tmp_path).encode() not in b"".join(
        p.read_bytes() for p in out.iterdir() if p.suffix != ".safetensors"
    )


def test_a_model_computed_in_bf16_is_trained_in_fp32(store: Store, tmp_path: Path) -> None:
    """With weights in bf16, steps this small would change nothing and nobody would say so."""
    small = ["train.method=full", "train.lr=1e-6", "train.precision=bf16", "train.steps=1"]
    made = run(recipe(tmp_path / "r", *small), store, tmp_path / "out", key=KEY)
    assert 0 < made.data["checks"]["weight_delta"] < 1e-3
    from safetensors.torch import load_file

    weights = load_file(tmp_path / "out" / "model" / "model.safetensors")
    assert {w.dtype for w in weights.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("says", "overrides"),
    [
        ("quantized ones are frozen", ["train.method=full", "train.quantize=nf4"]),
        ("no whole model", ["train.method=full", "privacy.epsilon=8"]),
        ("says nothing where", ["train.method=full", "lora.r=4"]),
        ("cannot read weights in eight bits", ["lora.kind=dora", "train.quantize=int8"]),
    ],
)
def test_what_cannot_be_trained_together_is_refused(
    tmp_path: Path, says: str, overrides: list[str]
) -> None:
    """Before a model is loaded."""
    with pytest.raises(ConfigError, match=says):
        recipe(tmp_path, *overrides)


def test_a_private_run_that_learnt_only_noise_keeps_no_adapter(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At an epsilon that leaves nothing of the rows: weights moved and logits too, by noise, which
    the checks of other runs take for learning. One fixed draw: some are lucky."""
    from sovereign.tune.private import fit_private

    defaults: Any = fit_private.__kwdefaults__
    monkeypatch.setitem(defaults, "entropy", lambda size: b"\1" * size)
    drowned = ["privacy.epsilon=0.02", "train.lr=0.5", "lora.r=4"]
    with pytest.raises(TuneError, match="the loss did not fall: the noise was larger"):
        run(recipe(tmp_path / "r", *drowned), store, tmp_path / "out", key=KEY)
    assert not (tmp_path / "out" / "adapter").exists()
