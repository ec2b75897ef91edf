"""The public line: names load lazily, `__all__` is true, and importing costs nothing heavy."""

from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
import time

import pytest

import sovereign

HEAVY = (
    "torch",
    "transformers",
    "peft",
    "spacy",
    "presidio_analyzer",
    "pydantic",
    "click",
    "httptools",
)


def loaded_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after ``code``."""
    script = f"import sys\n{code}\nimport json\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    names = json.loads(run.stdout.strip().rsplit("\n", 1)[-1])
    return {name.split(".")[0] for name in names}


def test_import_sovereign_loads_nothing_but_itself() -> None:
    """A library that is imported by a web service must not cost seconds."""
    assert not loaded_after("import sovereign") & set(HEAVY)


@pytest.mark.parametrize("name", sovereign.__all__)
def test_each_public_name_is_there(name: str) -> None:
    """`__all__` is what we promise."""
    assert getattr(sovereign, name) is not None
    assert name in dir(sovereign)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    """Lazy loading must not turn a typo into something else."""
    with pytest.raises(AttributeError, match="no attribute 'Gaurd'"):
        _ = sovereign.Gaurd


@pytest.mark.parametrize(
    "code",
    [
        "import sovereign",
        "from sovereign.cli import cli\ncli.main(['--help'], standalone_mode=False)",
        "from sovereign.guard import Guard\n"
        "from sovereign.config import GuardConfig\n"
        "from sovereign.guard.recognizers import from_config\n"
        "from sovereign.policy import load_policy\n"
        "from sovereign.types import Destination\n"
        "g = Guard(load_policy(preset='hipaa'), from_config(GuardConfig()), key=b'k' * 32)\n"
        "g.inspect({'t': 'Maria Keller, SSN 512-47-3391'}, to=Destination('x', 'hosted'))",
        "import sovereign.gateway.app, sovereign.gateway.standin, sovereign.cli.gateway",
        "import sovereign.audit.log, sovereign.audit.verify",
    ],
    ids=["package", "help", "guard at work", "gateway", "audit"],
)
def test_no_torch_in(code: str) -> None:
    """torch in the door's process would cost a gigabyte, seconds, and its crashes."""
    assert not loaded_after(code) & {"torch", "transformers", "peft", "accelerate", "datasets"}


def test_help_costs_under_a_fifth_of_a_cpu_second() -> None:
    """The command line answers at once. The best of five: other processes only add."""

    def cost() -> float:
        before = os.times()
        subprocess.run(
            [sys.executable, "-m", "sovereign", "--help"], capture_output=True, check=True
        )
        after = os.times()
        return (after.children_user - before.children_user) + (
            after.children_system - before.children_system
        )

    costs = []
    for _ in range(5):
        costs.append(cost())
        if costs[-1] < 0.2:
            break
        time.sleep(0.2)
    assert min(costs) < 0.2


def test_every_module_draws_its_public_line() -> None:
    """`__all__` and a docstring in each module: a reader sees the wall before the room."""
    import ast
    from importlib.util import find_spec

    bare = []
    for module in pkgutil.walk_packages(sovereign.__path__, "sovereign."):
        spec = find_spec(module.name)
        assert spec is not None
        assert spec.origin is not None
        with open(spec.origin, encoding="utf-8") as file:  # noqa: PTH123
            tree = ast.parse(file.read())
        assigned = [n.targets[0] for n in tree.body if isinstance(n, ast.Assign)]
        assigned += [n.target for n in tree.body if isinstance(n, ast.AnnAssign)]
        names = {t.id for t in assigned if isinstance(t, ast.Name)}
        if ast.get_docstring(tree) and len(tree.body) == 1:
            continue  # a package that is only a name and a contract
        if not ast.get_docstring(tree) or (
            "__all__" not in names and not module.name.endswith("__main__")
        ):
            bare.append(module.name)
    assert bare == []
