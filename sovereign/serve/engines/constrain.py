"""Output that a grammar holds: JSON of a schema, and calls of tools. Token masks by llguidance.

A mask is computed before a token is drawn, so that what comes out is right, not repaired. A schema
that cannot be held whole (a keyword that the grammar would pass over) is refused.

Source of the grammar language: https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import torch

from sovereign.errors import MissingExtra
from sovereign.serve.engines.fields import BadRequest
from sovereign.serve.engines.tools import BEGIN, END, Tools
from sovereign.types import JSON

__all__ = ["Broken", "Constraint", "Grammars", "json_grammar", "parse_format", "tools_grammar"]

_LONGEST = 64_000  # characters of a grammar: a schema is written by a person or a class

# As json.dumps writes, which is what models have read most: free white space would let a small
# model write nothing else for ever.
_SPACES: JSON = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class Broken(Exception):
    """The grammar met a limit of its own in the middle of an answer."""


class Constraint:
    """One answer's place in its grammar."""

    def __init__(self, matcher: Any, width: int) -> None:
        self._matcher = matcher
        self._width = width

    def mask(self) -> torch.Tensor:
        """The tokens that may come next: a row of bools as wide as the logits."""
        bits = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        places = torch.arange(8, dtype=torch.uint8)
        allowed = (bits.unsqueeze(1) >> places & 1).flatten().bool()
        if self._matcher.is_error():
            raise Broken
        if len(allowed) < self._width:
            allowed = torch.nn.functional.pad(allowed, (0, self._width - len(allowed)))
        return allowed[: self._width]

    def accept(self, token: int) -> bool:
        """Go on with ``token``. True once nothing can follow. Raises :class:`Broken`."""
        if not self._matcher.consume_token(token) or self._matcher.is_error():
            raise Broken
        stopped: bool = self._matcher.is_stopped()
        return stopped


class Grammars:
    """Makes constraints for one tokenizer. ``width`` is that of the logits, ``eos`` what ends an
    answer. The tokenizer's table takes about a second, and is made at the first use."""

    def __init__(self, tokenizer: Any, width: int, eos: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self.width = width
        self._eos = sorted(eos)
        self._table: Any = None
        self._making = threading.Lock()

    def special(self, text: str) -> bool:
        """Whether ``text`` is one token that no other spelling makes."""
        ids = self._tokenizer.convert_tokens_to_ids([text])
        table = self._made()
        return ids[0] not in (None, self._tokenizer.unk_token_id) and table.is_special_token(ids[0])

    def compile(self, grammar: str, param: str) -> Constraint:
        """The start of ``grammar``. Raises :class:`BadRequest` that names ``param``."""
        import llguidance

        if len(grammar) > _LONGEST:
            raise BadRequest(f"{param} is over {_LONGEST} characters", param=param)
        table = self._made()
        failed, notes = llguidance.LLMatcher.validate_grammar_with_warnings(grammar, table)
        if failed or notes:
            raise BadRequest(
                f"{param} holds a schema that this engine cannot enforce as a whole",
                param=param,
                code="unsupported_value",
            )
        matcher = llguidance.LLMatcher(table, grammar, log_level=0)
        if matcher.is_error():
            raise BadRequest(f"{param} holds a schema that is too large", param=param)
        return Constraint(matcher, self.width)

    def _made(self) -> Any:
        with self._making:
            if self._table is None:
                try:
                    import llguidance.hf
                except ImportError:
                    raise MissingExtra("llguidance (it holds JSON schemas)", "serve") from None
                self._table = llguidance.hf.from_tokenizer(
                    self._tokenizer, n_vocab=self.width, eos_token=self._eos
                )
            return self._table


# ---- what the wire asks for ----------------------------------------------------------------------


def parse_format(body: Mapping[str, JSON]) -> JSON | None:
    """The schema that ``response_format`` asks for, None for free text. Raises
    :class:`BadRequest`."""
    value = body.get("response_format")
    if value is None:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text" and value.keys() == {"type"}:
        return None
    if kind == "json_object" and value.keys() == {"type"}:
        return {"type": "object"}
    asked = value.get("json_schema") if kind == "json_schema" else None
    if (
        not isinstance(asked, dict)
        or value.keys() != {"type", "json_schema"}
        or asked.keys() - {"name", "description", "schema", "strict"}
        or not isinstance(asked.get("schema"), dict)
        or not isinstance(asked.get("name"), str)
    ):
        raise BadRequest(
            "response_format must be text, json_object, or json_schema with a name and a schema",
            param="response_format",
        )
    return asked["schema"]


def json_grammar(schema: JSON) -> str:
    """A grammar of the JSON texts that ``schema`` accepts."""
    return f"start: %json {_schema(schema)}\n"


def tools_grammar(tools: Tools, *, special: bool) -> str:
    """A grammar of answers with calls. ``special`` where the tags are tokens of their own."""
    begin, end = (BEGIN, END) if special else (json.dumps(BEGIN), json.dumps(END))
    bodies = [
        " ".join(
            (
                json.dumps(f'\n{{"name": {json.dumps(t.name)}, "arguments": '),
                f"%json {_schema(t.parameters)}",
                json.dumps("}\n"),
            )
        )
        for t in tools.callable
    ]
    lines = [f"body_{i}: {body}" for i, body in enumerate(bodies)]
    body = "(" + " | ".join(f"body_{i}" for i in range(len(bodies))) + ")"
    if tools.choice == "required":
        more = f" ({begin} {body} {end})*" if tools.parallel else ""
        lines.append(f"start: {begin} {body} {end}{more}")
    else:
        # A tag that ordinary tokens spell would begin a call that no grammar holds.
        other = f" & ~/(.|\\n)*{BEGIN}(.|\\n)*/" if special else ""
        lines.append("TEXT: /(.|\\n)*/" + other)
        lines.append("tail: TEXT")
        lines.append(f"call: head {body} {end}")
        lines.append(f"head: TEXT {begin}" if special else f"head[lazy]: TEXT {begin}")
        lines.append("start: call* tail" if tools.parallel else "start: call | tail")
    return "%llguidance {}\n" + "\n".join(lines) + "\n"


def _schema(schema: JSON) -> str:
    own: Mapping[str, JSON] = schema
    return json.dumps({**own, "x-guidance": _SPACES}, ensure_ascii=False)
