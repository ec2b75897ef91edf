"""What is known of each endpoint: its structural constants, and which leaves of a reply stream.

A request leaf is exempt from the recognisers only by *path* and *closed value set* together. What
is not listed is inspected, so a field that does not exist yet is covered the day it appears.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from sovereign.guard.body import Leaf
from sovereign.types import Path

__all__ = ["ANY", "CONSTANTS", "SHAPES", "Shape", "Wire"]

_words = str.split  # a list of words is easier to read as one string

Wire = Literal["openai.chat", "openai.completions", "openai.responses", "anthropic"]

ANY: Final = frozenset({"\0any"})
"""In place of a closed set, for the one leaf that somebody else checks: the name of the model."""

_JSON_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_PARTS = frozenset(
    _words(
        "text refusal input_text output_text summary_text reasoning_text message function_call "
        "function_call_output custom_tool_call custom_tool_call_output reasoning item_reference "
        "tool_use tool_result thinking redacted_thinking ephemeral"
    )
)
_ROLES = frozenset({"user", "assistant", "system", "developer", "tool", "function"})
_TOOLS = frozenset({"function", "custom", "tool", "any", "auto", "none", "required"})
_FORMATS = frozenset({"text", "json_object", "json_schema", "grammar"})
_EFFORT = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
_TIERS = frozenset({"auto", "default", "flex", "priority", "scale", "standard_only"})
_STATUS = frozenset({"in_progress", "completed", "incomplete"})


_Exempt = tuple[tuple[str | None, ...] | None, tuple[str, ...], frozenset[str]]
"""A pattern's steps, with nothing in place of ``*``, if it has no ``**``; its steps; its values."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One endpoint. Patterns are paths in which ``*`` is one step and ``**`` any number of steps.

    ``exempt`` maps a pattern to the values that need no inspection there. ``token_ids`` are leaves
    where lists of numbers are encoded text. ``fragments`` are reply leaves that hold JSON in a
    string; ``deltas`` are leaves of a streamed event that continue an earlier one.
    """

    name: str
    wire: Wire
    exempt: Mapping[str, frozenset[str]]
    token_ids: frozenset[str] = frozenset()
    fragments: tuple[str, ...] = ()
    deltas: tuple[str, ...] = ()
    _by_last: dict[str | None, list[_Exempt]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        for pattern, values in self.exempt.items():
            steps = _split(pattern)
            fixed = None if "**" in steps else tuple(None if s == "*" else s for s in steps)
            last = None if steps[-1] == "*" else steps[-1]
            self._by_last.setdefault(last, []).append((fixed, steps, values))

    def structural(self, leaf: Leaf) -> bool:
        """Whether ``leaf`` is a constant of the wire, so that it can tell nothing of anybody."""
        return not self.free([leaf])

    def free(self, leaves: Iterable[Leaf]) -> list[Leaf]:
        """Those of ``leaves`` that may tell something."""
        found, by_last = [], self._by_last
        for leaf in leaves:
            path, text, kind, _ = leaf
            if kind == "key":
                if text in KEYS:
                    continue
            elif kind == "text" and path:
                # By the last step first: of a body's thousands of leaves few are structure.
                last = path[-1]
                exempt = by_last.get(last if isinstance(last, str) else None)
                if exempt is not None and _is_constant(path, text, exempt):
                    continue
            found.append(leaf)
        return found

    def is_fragment(self, path: Path) -> bool:
        """Whether the reply leaf at ``path`` is JSON inside a string."""
        return any(matches(pattern, path) for pattern in self.fragments)


def _is_constant(path: Path, text: str, exempt: Sequence[_Exempt]) -> bool:
    for fixed, steps, values in exempt:
        if values is not ANY and text not in values:
            continue
        if fixed is None:
            if _fits(steps, path):
                return True
        elif len(fixed) == len(path) and fixed == tuple(
            [s if isinstance(s, str) else None for s in path]
        ):
            return True
    return False


def matches(pattern: str, path: Path) -> bool:
    """Whether ``path`` fits ``pattern``, such as ``messages.*.role``."""
    return _fits(_split(pattern), path)


@lru_cache(maxsize=512)
def _split(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.split("."))


def _fits(pattern: tuple[str, ...], path: Path) -> bool:
    if "**" not in pattern:  # as most
        return len(pattern) == len(path) and all(map(_is_step, pattern, path))
    first, rest = pattern[0], pattern[1:]
    if first == "**":
        return any(_fits(rest, path[i:]) for i in range(len(path) + 1))
    return bool(path) and _is_step(first, path[0]) and _fits(rest, path[1:])


def _is_step(want: str, step: str | int) -> bool:
    # A key that looks like an index, or an index like a key, is not the same step.
    return want == step or (want == "*" and isinstance(step, int))


_OPENAI_SAMPLING = {
    "model": ANY,
    "service_tier": _TIERS,
    "reasoning_effort": _EFFORT,
    "reasoning.effort": _EFFORT,
    "reasoning.summary": frozenset({"auto", "concise", "detailed"}),
    "verbosity": _EFFORT,
    "modalities.*": frozenset({"text"}),
    "truncation": frozenset({"auto", "disabled"}),
    "encoding_format": frozenset({"float", "base64"}),
}
_OPENAI_CHAT = {
    **_OPENAI_SAMPLING,
    "messages.*.role": _ROLES,
    "messages.*.content.*.type": _PARTS,
    "messages.*.tool_calls.*.type": _TOOLS,
    "tools.*.type": _TOOLS,
    "tools.*.function.parameters.type": _JSON_TYPES,
    "tools.*.function.parameters.**.type": _JSON_TYPES,
    "tool_choice": _TOOLS,
    "tool_choice.type": _TOOLS,
    "function_call": _TOOLS,
    "functions.*.parameters.type": _JSON_TYPES,
    "functions.*.parameters.**.type": _JSON_TYPES,
    "response_format.type": _FORMATS,
    "response_format.json_schema.schema.type": _JSON_TYPES,
    "response_format.json_schema.schema.**.type": _JSON_TYPES,
}
_OPENAI_RESPONSES = {
    **_OPENAI_SAMPLING,
    "input.*.role": _ROLES,
    "input.*.type": _PARTS,
    "input.*.status": _STATUS,
    "input.*.content.*.type": _PARTS,
    "input.*.summary.*.type": _PARTS,
    "tools.*.type": _TOOLS,
    "tools.*.parameters.type": _JSON_TYPES,
    "tools.*.parameters.**.type": _JSON_TYPES,
    "tool_choice": _TOOLS,
    "tool_choice.type": _TOOLS,
    "text.format.type": _FORMATS,
    "text.verbosity": _EFFORT,
    "text.format.schema.type": _JSON_TYPES,
    "text.format.schema.**.type": _JSON_TYPES,
}
_ANTHROPIC = {
    "model": ANY,
    "service_tier": _TIERS,
    "messages.*.role": _ROLES,
    "messages.*.content.*.type": _PARTS,
    "messages.*.content.*.content.*.type": _PARTS,
    "messages.*.content.*.cache_control.type": _PARTS,
    "system.*.type": _PARTS,
    "system.*.cache_control.type": _PARTS,
    "thinking.type": frozenset({"enabled", "disabled", "adaptive"}),
    "tools.*.type": _TOOLS,
    "tools.*.cache_control.type": _PARTS,
    "tools.*.input_schema.type": _JSON_TYPES,
    "tools.*.input_schema.**.type": _JSON_TYPES,
    "tool_choice.type": _TOOLS,
}


def _under(prefix: str, exempt: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """The same constants, one level deeper."""
    return {f"{prefix}.{pattern}": values for pattern, values in exempt.items()}


def _under_items(exempt: Mapping[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    """The constants of a response's input, as items of a conversation."""
    start = "input."
    return {
        "items." + p.removeprefix(start): v for p, v in exempt.items() if p.startswith(start)
    } | dict(exempt)


_PURPOSES = frozenset({"assistants", "batch", "fine-tune", "vision", "user_data", "evals"})
_METHODS = frozenset({"supervised", "dpo", "reinforcement"})
_HOSTED_TOOLS = _TOOLS | {"file_search", "code_interpreter"}
_MEDIA = frozenset(
    _words(
        "text/plain text/csv text/html text/markdown application/json application/jsonl "
        "application/pdf application/zip application/octet-stream image/png image/jpeg image/webp "
        "image/gif audio/wav audio/mpeg audio/mp3 audio/x-wav message/rfc822"
    )
)
_FILES: Mapping[str, frozenset[str]] = {"purpose": _PURPOSES, "file.content_type": _MEDIA}
_IMAGES: Mapping[str, frozenset[str]] = {
    "model": ANY,
    "size": frozenset(
        _words("auto 256x256 512x512 1024x1024 1536x1024 1024x1536 1792x1024 1024x1792")
    ),
    "quality": frozenset(_words("auto standard hd low medium high")),
    "response_format": frozenset(_words("url b64_json")),
    "style": frozenset(_words("vivid natural")),
    "background": frozenset(_words("auto transparent opaque")),
    "output_format": frozenset(_words("png jpeg webp")),
    "moderation": frozenset(_words("auto low")),
    "input_fidelity": frozenset(_words("low high")),
    "n": frozenset("12345678910"),
    "image.content_type": _MEDIA,
    "image[].*.content_type": _MEDIA,
    "mask.content_type": _MEDIA,
}
_AUDIO: Mapping[str, frozenset[str]] = {
    "model": ANY,
    "voice": frozenset(
        _words("alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse")
    ),
    "response_format": frozenset(
        _words("json text srt verbose_json vtt diarized_json mp3 opus aac flac wav pcm")
    ),
    "timestamp_granularities[].*": frozenset({"word", "segment"}),
    "file.content_type": _MEDIA,
}
_BATCHES: Mapping[str, frozenset[str]] = {
    "endpoint": frozenset(
        f"/v1/{p}" for p in _words("chat/completions completions embeddings responses moderations")
    ),
    "completion_window": frozenset({"24h"}),
}
_STORES: Mapping[str, frozenset[str]] = {
    "expires_after.anchor": frozenset({"last_active_at"}),
    "chunking_strategy.type": frozenset({"auto", "static"}),
    "filters.type": frozenset(_words("eq ne gt gte lt lte in nin and or")),
}
_ASSISTANTS: Mapping[str, frozenset[str]] = {
    "model": ANY,
    "assistant.model": ANY,
    "role": _ROLES,
    "messages.*.role": _ROLES,
    "additional_messages.*.role": _ROLES,
    "thread.messages.*.role": _ROLES,
    "content.*.type": _PARTS,
    "messages.*.content.*.type": _PARTS,
    "thread.messages.*.content.*.type": _PARTS,
    "tools.*.type": _HOSTED_TOOLS,
    "tools.*.function.parameters.type": _JSON_TYPES,
    "tools.*.function.parameters.**.type": _JSON_TYPES,
    "attachments.*.tools.*.type": _HOSTED_TOOLS,
    "messages.*.attachments.*.tools.*.type": _HOSTED_TOOLS,
    "response_format": frozenset({"auto"}),
    "response_format.type": _FORMATS,
    "tool_choice": _TOOLS,
    "truncation_strategy.type": frozenset({"auto", "last_messages"}),
}

KEYS: Final = frozenset(
    _words(
        "messages role content type text refusal "
        "name tool_calls tool_call_id id function arguments "
        "tools parameters properties required description items enum default additionalProperties "
        "strict tool_choice function_call functions "
        "response_format json_schema schema model stream "
        "stream_options include_usage temperature top_p max_tokens max_completion_tokens "
        "max_output_tokens n stop stop_sequences seed "
        "user metadata logprobs top_logprobs logit_bias "
        "presence_penalty frequency_penalty parallel_tool_calls reasoning_effort reasoning effort "
        "summary service_tier store verbosity modalities "
        "prediction prompt suffix echo best_of input "
        "instructions output call_id status previous_response_id truncation include format "
        "dimensions encoding_format system thinking budget_tokens signature cache_control ttl "
        "input_schema tool_use_id is_error user_id source data citations image_url url detail file "
        "file_id filename file_data file_url input_audio audio top_k anyOf oneOf allOf title "
        "minimum maximum pattern $schema $defs $ref "
        "purpose image mask size quality style background output_format voice speed language "
        "input_file_id endpoint completion_window requests params custom_id method body "
        "vector_store_ids file_ids attributes chunking_strategy max_num_results query filters key "
        "value assistant_id thread additional_messages additional_instructions tool_resources "
        "tool_outputs attachments file_search code_interpreter content_type training_file items "
        "conversation media_type batch expires_after anchor days"
    )
)
"""Field names of the wires: a closed vocabulary, so as keys they need no inspection."""

CONSTANTS: Final = KEYS.union(
    _JSON_TYPES, _PARTS, _ROLES, _TOOLS, _FORMATS, _EFFORT, _TIERS, _STATUS
)
"""Words that every request may hold as structure, so finding one proves nothing."""

SHAPES: Final[dict[str, Shape]] = {
    shape.name: shape
    for shape in (
        Shape(
            "openai.chat",
            "openai.chat",
            _OPENAI_CHAT,
            fragments=(
                "choices.*.message.tool_calls.*.function.arguments",
                "choices.*.message.tool_calls.*.custom.input",
                "choices.*.message.function_call.arguments",
            ),
            deltas=(
                "content",
                "refusal",
                "reasoning_content",
                "reasoning",
                "function_call.arguments",
                "tool_calls.*.function.arguments",
                "tool_calls.*.custom.input",
            ),
        ),
        Shape(
            "openai.completions",
            "openai.completions",
            _OPENAI_SAMPLING,
            token_ids=frozenset({"prompt"}),
            deltas=("text",),
        ),
        Shape(
            "openai.embeddings",
            "openai.completions",
            _OPENAI_SAMPLING,
            token_ids=frozenset({"input"}),
        ),
        Shape(
            "openai.responses",
            "openai.responses",
            _OPENAI_RESPONSES,
            fragments=(
                "output.*.arguments",
                "response.output.*.arguments",
                "item.arguments",
                "arguments",
            ),
            deltas=("delta",),
        ),
        Shape(
            "anthropic.messages",
            "anthropic",
            _ANTHROPIC,
            deltas=("delta.text", "delta.partial_json", "delta.thinking"),
        ),
        Shape("anthropic.count_tokens", "anthropic", _ANTHROPIC),
        Shape("anthropic.batches", "anthropic", _under("requests.*.params", _ANTHROPIC)),
        Shape("anthropic.files", "anthropic", _FILES),
        Shape("openai.moderations", "openai.chat", {"model": ANY, "input.*.type": _PARTS}),
        Shape("openai.images", "openai.chat", _IMAGES),
        Shape("openai.audio", "openai.chat", _AUDIO),
        Shape("openai.files", "openai.chat", _FILES),
        Shape("openai.batches", "openai.chat", _BATCHES),
        Shape("openai.vector_stores", "openai.chat", _STORES),
        Shape("openai.conversations", "openai.responses", _under_items(_OPENAI_RESPONSES)),
        Shape("openai.assistants", "openai.chat", _ASSISTANTS),
        Shape("openai.fine_tuning", "openai.chat", {"model": ANY, "method.type": _METHODS}),
    )
}
