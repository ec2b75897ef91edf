"""Chat templates: where a model's folder holds them, and what one may do. Nothing is rendered here.

A template is a program that strangers wrote and that runs on every conversation. It is parsed in
Jinja's immutable sandbox, as transformers runs it, and then held to a list: statements, filters,
functions and methods that put messages into text. What is not on the list is refused, with the
line. A template can still put words of its own into every prompt, so the lock holds its hash; and a
macro that calls itself, which some need for nested schemas, can still be slow on purpose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sovereign.errors import MissingExtra, NotAdmitted

__all__ = ["chat_templates", "check_template"]

HOLDERS = ("tokenizer_config.json", "processor_config.json", "chat_template.json")
MAX_SIZE = 1_000_000  # characters; the largest in use have some 20,000
MAX_NUMBER = 100_000  # of a constant; the sandbox permits no longer range either
MAX_LOOPS = 4  # inside each other

FUNCTIONS = {"caller", "cycler", "dict", "joiner", "namespace", "raise_exception", "range"}
FUNCTIONS |= {"strftime_now"}
METHODS = {
    "capitalize", "count", "cycle", "endswith", "find", "get", "index", "isdigit", "items", "join",
    "keys", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind",
    "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "title",
    "upper", "values",
}  # fmt: skip
FILTERS = {
    "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float",
    "indent", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min",
    "reject", "rejectattr", "replace", "reverse", "round", "safe", "select", "selectattr", "slice",
    "sort", "string", "sum", "title", "tojson", "trim", "truncate", "unique", "upper",
}  # fmt: skip
STATEMENTS = {
    "Assign", "AssignBlock", "Block", "Break", "CallBlock", "Continue", "FilterBlock", "For", "If",
    "Macro", "Output", "Scope", "With",
}  # fmt: skip
DUNDER = re.compile(r"__\w+__")


def chat_templates(folder: Path, paths: Iterable[str]) -> dict[str, str]:
    """Every Jinja template, by where it stands: ``PATH`` or ``PATH#NAME``. The files are UTF-8 and
    JSON, as :mod:`sovereign.weights.admit` checks first."""
    found: dict[str, str] = {}
    for path in paths:
        if path.endswith(".jinja"):
            found[path] = (folder / path).read_text(encoding="utf-8")
        elif path.rpartition("/")[2] in HOLDERS:
            data = json.loads((folder / path).read_bytes())
            found |= dict(_held(path, data.get("chat_template") if isinstance(data, dict) else 0))
    return found


def _held(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """One template, a list of ``{"name", "template"}``, or a table of them."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        yield from ((f"{path}#{k}", v) for k, v in value.items() if isinstance(v, str))
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict) and isinstance(item.get("template"), str):
                yield f"{path}#{item.get('name')}", item["template"]


def check_template(text: str, where: str) -> None:
    """Raises :class:`NotAdmitted` with ``where`` and the line if ``text`` may do more than put a
    conversation into text; :class:`MissingExtra` without jinja2, since then nobody can tell."""
    try:
        import jinja2
    except ImportError:
        raise MissingExtra("jinja2 (it reads chat templates)", "weights") from None

    def refuse(what: str, line: int = 0) -> NotAdmitted:
        at = f", line {line}" if line else ""
        return NotAdmitted(
            f"{where}: the chat template {what}{at}",
            hint="take it out, or write one that only puts messages into text",
        )

    if len(text) > MAX_SIZE:
        raise refuse("is too large")
    try:
        wrong = next(_wrong(_environment().parse(text)), None)
    except jinja2.TemplateSyntaxError as e:
        raise refuse("is not Jinja as transformers reads it", e.lineno) from None
    except (RecursionError, MemoryError, ValueError):
        raise refuse("is not Jinja as transformers reads it") from None
    if wrong is not None:
        raise refuse(*wrong)


def _environment() -> Any:
    """The one that transformers renders with: its extensions, and its ``generation`` tag."""
    from jinja2 import nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - jinja's own way of saying it

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    return ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )


def _wrong(tree: Any) -> Iterator[tuple[str, int]]:
    """What the template may not do, and in which line, in order of appearance."""
    from jinja2 import nodes

    macros = {node.name for node in tree.find_all(nodes.Macro)}
    for node in _all(tree):
        kind, line = type(node).__name__, node.lineno
        if isinstance(node, nodes.Stmt) and kind not in STATEMENTS:
            yield f"has a statement ({kind.lower()}) that reaches beyond it", line
        elif isinstance(node, nodes.Filter) and node.name not in FILTERS:
            yield f"uses the filter {node.name}", line
        elif isinstance(node, nodes.Filter) and node.name == "map" and not _maps_plainly(node):
            yield "maps by a filter that is not permitted, or computes which", line
        elif isinstance(node, (nodes.Mul, nodes.Pow)):
            yield "multiplies, which can make any text or number too large", line
        elif isinstance(node, nodes.Const) and _too_much(node.value):
            yield "holds a number that is too large, or a name of Python's own", line
        elif isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
            yield f"reads the attribute {node.attr}", line
        elif isinstance(node, nodes.Name) and node.name.startswith("__"):
            yield f"uses the name {node.name}", line
        elif isinstance(node, nodes.For) and node.recursive:
            yield "has a loop that calls itself", line
        elif isinstance(node, nodes.Call):
            yield from _wrong_call(node, macros)
    if _deepest(tree) > MAX_LOOPS:
        yield f"has more than {MAX_LOOPS} loops inside each other", 0


def _wrong_call(node: Any, macros: set[str]) -> Iterator[tuple[str, int]]:
    from jinja2 import nodes

    target = node.node
    if isinstance(target, nodes.Name):
        if target.name not in FUNCTIONS and target.name not in macros:
            yield f"calls {target.name}", node.lineno
    elif isinstance(target, nodes.Getattr):
        if target.attr not in METHODS:
            yield f"calls the method {target.attr}", node.lineno
    else:
        yield "calls what it computed", node.lineno


def _maps_plainly(node: Any) -> bool:
    """``map`` calls the filter that its first argument names, if it has one."""
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        return False
    plain = FILTERS - {"map"}
    return all(getattr(name, "value", None) in plain for name in node.args[:1])


def _all(tree: Any) -> Iterator[Any]:
    for node in tree.iter_child_nodes():
        yield node
        yield from _all(node)


def _too_much(value: Any) -> bool:
    if isinstance(value, str):
        return DUNDER.search(value) is not None
    return isinstance(value, (int, float)) and not -MAX_NUMBER <= value <= MAX_NUMBER


def _deepest(node: Any) -> int:
    from jinja2 import nodes

    below = max((_deepest(child) for child in node.iter_child_nodes()), default=0)
    return below + isinstance(node, nodes.For)
