"""What a fine-tune writes for other people's viewers, and what other people's harness says of it.

TensorBoard, MLflow and lm-eval are never in our environment: `scripts/clients tune` puts them
beside it, and a run finds them on its path.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from families import make_base

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = Path(os.environ.get("SOVEREIGN_CLIENTS", ROOT / ".venv-clients")).resolve()
THERE = [str(path) for path in (CLIENTS / "clients-tune").glob("lib/python3*/site-packages")]
pytestmark = pytest.mark.skipif(
    not THERE, reason="not installed here: `scripts/clients tune` installs them"
)

READ = """
import json, sys
from pathlib import Path
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
import mlflow
out = Path(sys.argv[1])
events = EventAccumulator(str(out / "tensorboard" / "r"))
events.Reload()
board = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
client = mlflow.MlflowClient(tracking_uri=(out / "mlruns").as_uri())
experiment = client.get_experiment_by_name("r")
(run,) = client.search_runs([experiment.experiment_id])
flow = {k: [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, k)]
        for k in run.data.metrics}
print(json.dumps([board, flow, run.info.status, run.data.tags]))
"""
TASK = """
task: levels
dataset_path: json
dataset_kwargs:
  data_files:
    validation: {data}
validation_split: validation
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: label
metric_list:
  - metric: acc
"""


def run(*command: str | Path) -> str:
    path = [os.environ.get("PYTHONPATH", ""), *THERE]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(p for p in path if p),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_FILE_STORE": "true",
    }
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe over a tiny model, whose folder is the store's too."""
    from sovereign.weights.store import Store

    store = Store(tmp_path / "store", tmp_path / "store" / "sovereign.lock")
    store.add_folder(make_base("chatml", tmp_path / "base"), name="tiny")
    rows = [{"prompt": f"Where is ward {n}?", "completion": f"On level {n}."} for n in range(9)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "r.toml").write_text(
        'name = "r"\nmodel = "tiny"\n[data]\ntrain = "rows.jsonl"\n[train]\nsteps = 3\n'
        'batch = 3\nprecision = "fp32"\nthreads = 1\n'
    )
    return tmp_path / "r.toml"


def test_the_curve_is_what_tensorboard_and_mlflow_read(recipe: Path, tmp_path: Path) -> None:
    """The figures of metrics.jsonl, step by step, by their own readers; no connection was tried."""
    out = tmp_path / "out"
    run(
        *(sys.executable, "-m", "sovereign", "tune", "run", recipe, "--store", tmp_path / "store"),
        *("--out", out, "metrics.tensorboard=true", "metrics.mlflow=true"),
    )
    board, flow, status, tags = json.loads(run(sys.executable, "-c", READ, out))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    for name in ("loss", "lr", "grad_norm", "tokens", "tokens_per_s"):
        wanted = [[line["step"], pytest.approx(line[name], rel=1e-6)] for line in lines]
        assert board[f"train/{name}"] == wanted
        assert flow[name] == wanted
    assert status == "FINISHED"
    assert set(tags) <= {"mlflow.runName"}
    made = json.loads((out / "run.json").read_bytes())
    assert made["checks"]["connections_refused"] == 0
    for file in out.rglob("*"):
        if file.is_file():
            assert b"ward" not in file.read_bytes(), file


def test_lm_eval_asks_the_model_before_and_after(recipe: Path, tmp_path: Path) -> None:
    """A task of our own, whose data are a file: its accuracy and standard error, twice, in the
    passport; and no connection was tried."""
    asked = [
        {"question": f"Ward {n} is on level", "choices": [str(n), str(n + 1)], "label": 0}
        for n in range(6)
    ]
    data = tmp_path / "levels.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in asked))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "levels.yaml").write_text(TASK.format(data=data))
    out = tmp_path / "out"
    run(
        *(sys.executable, "-m", "sovereign", "tune", "run", recipe, "--store", tmp_path / "store"),
        *("--out", out, 'general.tasks=["levels"]', 'general.tasks_folder="tasks"'),
    )
    made = json.loads((out / "run.json").read_bytes())
    said = made["general"]["tasks"]["levels"]["acc"]
    assert set(said) == {"before", "after"}
    for value, error in said.values():
        assert 0 <= value <= 1
        assert error is not None
    assert made["checks"]["connections_refused"] == 0
    assert "levels, acc" in (out / "report.html").read_text()
