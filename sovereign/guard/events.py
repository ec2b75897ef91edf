"""Restores the server-sent events of one reply: events in, restored events out, in order.

The text of one choice, tool call or content block is one stream. Held-back text goes out as a copy
of that stream's last delta event, before whatever ends the stream. Log-probabilities of tokens go
with the text that the tokens spell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sovereign.guard import logprobs
from sovereign.guard.shapes import Shape
from sovereign.types import JSON

if TYPE_CHECKING:
    from sovereign.guard.restore import Restorer, Stream

__all__ = ["Event", "EventRestorer"]

Event = tuple[str | None, JSON]
Key = tuple[Any, ...]
Steps = tuple[str | int, ...]
_Scored = tuple[Steps, str, list[JSON]]
"""What has the log-probabilities of a text, the text's name there, and the entries to show."""

_FRAGMENTS = frozenset({"arguments", "partial_json", "input"})
_RESPONSES_ID = ("item_id", "output_index", "content_index", "summary_index")


_CHANGING = ("obfuscation", "sequence_number")
"""Beside the delta, these differ from event to event in the streams of hosted APIs."""


@dataclass(slots=True)
class _Open:
    """A stream that has begun: how to say more of it, and what it holds back."""

    stream: Stream
    name: str | None
    template: dict[str, Any]
    steps: Steps


@dataclass(slots=True)
class _Last:
    """The last event with one delta, without it: nothing in ``frame`` had to be restored, and it
    ended nothing."""

    name: str | None
    frame: dict[str, Any]
    opened: _Open


class EventRestorer:
    """One reply's events, restored. Not thread-safe; one per reply."""

    __slots__ = ("_last", "_open", "_restorer", "_scored", "_shape")

    def __init__(self, restorer: Restorer, shape: Shape) -> None:
        self._restorer = restorer
        self._shape = shape
        self._open: dict[Key, _Open] = {}
        self._last: _Last | None = None
        self._scored = False  # whether this reply has log-probabilities

    def __repr__(self) -> str:
        return f"EventRestorer({self._shape.name}, {len(self._open)} streams)"

    def feed(self, event_name: str | None, data: JSON) -> list[Event]:
        """The events that may go out now that this one has come. One that goes out as it came is
        ``data`` itself; else ``data`` is not used again."""
        if not len(self._restorer):
            return [(event_name, data)]  # nothing was replaced: most traffic, and every token of it
        if not isinstance(data, dict):
            return [(event_name, self._restorer.tree(data, self._shape.name))]
        if self._last is not None and self._last.name == event_name:
            more = self._more(self._last, data)
            if more is not None:
                return [(event_name, more)]
        self._last = None
        out: list[Event] = []
        deltas = list(self._deltas(data))
        keys = {key for key, _, _ in deltas}
        for key in [k for k in self._open if k not in keys and self._ends(k, data)]:
            out += self._close(key)
        new = _copied(data)
        kept: list[tuple[Steps, str]] = []
        scored: list[_Scored] = []
        self._scored = self._scored or logprobs.given(data)
        for key, steps, template in deltas:
            text = _at(data, steps)
            stream = self._stream(key, event_name, steps, template)
            readable = self._scored and _follow(stream, data, steps)
            shown = stream.feed(text)
            ends = self._ends(key, data)
            if ends:
                shown += stream.flush()
                del self._open[key]
            if stream.scores is not None and (readable or ends):
                told = stream.scores.rest() if ends else stream.scores.take()
                scored.append((*_scored_at(steps), told))
            kept.append((steps, shown))
            _put(new, steps, "")  # so that what surrounds it is restored as whole text
        if self._scored:
            scored += self._textless(data, keys)
            _rescore(new, [(where, field, []) for where, field, _ in scored])  # as the text
        frame = new
        new = self._restorer.tree(frame, self._shape.name)
        if new is frame and len(deltas) == 1 and deltas[0][0] in self._open and not scored:
            self._last = _Last(event_name, _copied(frame), self._open[deltas[0][0]])
        for steps, shown in kept:
            _put(new, steps, shown)
        _rescore(new, scored)
        return [*out, (event_name, new)]

    def _textless(self, data: dict[str, Any], keys: set[Key]) -> Iterator[_Scored]:
        """Entries of a chat's text that come without any of it: half a character, say."""
        choices = data.get("choices")
        for at, choice in enumerate(choices if isinstance(choices, list) else ()):
            if not isinstance(choice, dict) or not choice.get("logprobs"):
                continue
            for field in ("content", "refusal"):
                key = (choice.get("index", at), field)
                opened = None if key in keys else self._open.get(key)
                entries = logprobs.read(choice, field)
                if opened is not None and opened.stream.scores is not None and entries:
                    opened.stream.scores.add(entries)
                    yield ("choices", at), field, opened.stream.scores.take()

    def _more(self, last: _Last, data: dict[str, Any]) -> dict[str, Any] | None:
        """``data`` restored, if it is the last event over again with another delta, as nearly all
        tokens of a reply are. Its frame is known; only the delta is looked at. Else None, and
        ``data`` is what it was."""
        *to, leaf = last.opened.steps
        holder: Any = data
        for step in to:
            if isinstance(holder, dict):
                holder = holder.get(step)
            elif isinstance(holder, list) and isinstance(step, int) and step < len(holder):
                holder = holder[step]
            else:
                return None
        text = holder.get(leaf) if isinstance(holder, dict) else None
        if not isinstance(text, str):
            return None
        for field in _CHANGING:
            value = data.get(field)
            if type(value) is type(last.frame.get(field)) and (
                isinstance(value, int)
                or (isinstance(value, str) and not self._restorer.may_begin(value))
            ):
                last.frame[field] = value
        holder[leaf] = ""
        same = data == last.frame
        holder[leaf] = text
        if not same:
            return None
        for field in _CHANGING:
            if field in last.frame:
                last.opened.template[field] = last.frame[field]
        shown = last.opened.stream.feed(text)
        if shown == text:
            return data
        holder[leaf] = shown
        return dict(data)

    def flush(self) -> list[Event]:
        """What is still held back; the stream of events is over."""
        return [event for key in list(self._open) for event in self._close(key)]

    def _close(self, key: Key) -> list[Event]:
        ended = self._open.pop(key)
        rest = ended.stream.flush()
        entries = ended.stream.scores.rest() if ended.stream.scores is not None else []
        if not rest and not entries:
            return []
        event = _copied(ended.template)
        steps = _in_template(self._shape, ended.steps)
        _put(event, steps, rest)
        _rescore(event, [(*_scored_at(steps), entries)])
        return [(ended.name, event)]

    def _stream(self, key: Key, name: str | None, steps: Steps, template: dict[str, Any]) -> Stream:
        known = self._open.get(key)
        if known is None:
            fragment = steps[-1] in _FRAGMENTS or (
                self._shape.wire == "openai.responses"
                and "arguments" in str(template.get("type", ""))
            )
            known = _Open(self._restorer.stream(fragment=fragment), name, template, steps)
            self._open[key] = known
        known.name, known.template, known.steps = name, template, steps
        return known.stream

    def _deltas(self, data: dict[str, Any]) -> Iterator[tuple[Key, Steps, dict[str, Any]]]:
        """Each delta leaf: the stream it belongs to, its path, and an event that holds only it."""
        wire = self._shape.wire
        if wire == "anthropic":
            delta = data.get("delta")
            if data.get("type") == "content_block_delta" and isinstance(delta, dict):
                for field in ("text", "partial_json", "thinking"):
                    if isinstance(delta.get(field), str):
                        yield (data.get("index"), field), ("delta", field), data
        elif wire == "openai.responses":
            kind = str(data.get("type", ""))
            if kind.endswith(".delta") and isinstance(data.get("delta"), str):
                template = {**data, "logprobs": []} if data.get("logprobs") else data
                yield (kind, *(data.get(k) for k in _RESPONSES_ID)), ("delta",), template
        else:
            yield from self._choices(data)

    def _choices(self, data: dict[str, Any]) -> Iterator[tuple[Key, Steps, dict[str, Any]]]:
        choices = data.get("choices")
        for at, choice in enumerate(choices if isinstance(choices, list) else ()):
            if not isinstance(choice, dict):
                continue
            index = choice.get("index", at)
            if self._shape.wire == "openai.completions":
                if isinstance(choice.get("text"), str):
                    one = {"index": index, "text": "", "finish_reason": None, "logprobs": None}
                    yield (index, "text"), ("choices", at, "text"), _only(data, one)
                continue
            delta = choice.get("delta")
            if not isinstance(delta, dict):
                continue
            for steps in _delta_paths(self._shape.deltas, delta):
                # A copy for later must not repeat the role, nor a tool call's id and name.
                slim, key_steps = _slim(delta, steps)
                one = {"index": index, "delta": slim, "finish_reason": None}
                yield (index, *key_steps), ("choices", at, "delta", *steps), _only(data, one)

    def _ends(self, key: Key, data: dict[str, Any]) -> bool:
        """Whether ``data`` ends the stream ``key``."""
        if self._shape.wire == "anthropic":
            return (
                data.get("type") not in ("content_block_delta", "ping")
                and data.get("index", key[0]) == key[0]
            )
        if self._shape.wire == "openai.responses":
            return (
                not str(data.get("type", "")).endswith(".delta")
                and data.get("item_id", key[1]) == key[1]
            )
        choices = data.get("choices")
        if not choices:
            return True
        return any(
            isinstance(c, dict) and c.get("index", i) == key[0] and c.get("finish_reason")
            for i, c in enumerate(choices)
        )


def _copied(value: JSON) -> Any:
    """A copy of what was read from JSON, which is a tree. ``copy.deepcopy`` looks out for more, and
    took most of the time before a first token."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value


def _only(data: dict[str, Any], choice: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in data.items() if k not in ("choices", "usage")}
    return {**kept, "choices": [choice]}


def _delta_paths(patterns: tuple[str, ...], delta: dict[str, Any]) -> Iterator[Steps]:
    for pattern in patterns:
        steps = pattern.split(".")
        if steps[0] == "tool_calls":
            calls = delta.get("tool_calls")
            for at, _ in enumerate(calls if isinstance(calls, list) else ()):
                path: Steps = ("tool_calls", at, *steps[2:])
                if isinstance(_at_or_none(delta, path), str):
                    yield path
        elif isinstance(_at_or_none(delta, tuple(steps)), str):
            yield tuple(steps)


def _slim(delta: dict[str, Any], steps: Steps) -> tuple[dict[str, Any], Steps]:
    """A delta with this one leaf, emptied; and the leaf's path with the call's own index."""
    if steps[0] != "tool_calls":
        slim: Any = ""
        for step in reversed(steps):
            slim = {step: slim}
        return slim, steps
    call = delta["tool_calls"][steps[1]]
    index = call.get("index", steps[1])
    slim = {"index": index, str(steps[2]): {str(steps[3]): ""}}
    return {"tool_calls": [slim]}, ("tool_calls", index, *steps[2:])


def _scored_at(steps: Steps) -> tuple[Steps, str]:
    return steps[:2] if steps[0] == "choices" else (), str(steps[-1])


def _follow(stream: Stream, data: dict[str, Any], steps: Steps) -> bool:
    """Give ``stream`` the entries that come with the text at ``steps``. False if there are some in
    no form that is known."""
    where, field = _scored_at(steps)
    entries = logprobs.read(_at_or_none(data, where), field)
    if entries:
        stream.scored().add(entries)
    return entries is not None


def _rescore(event: dict[str, Any], scored: list[_Scored]) -> None:
    for where, field, entries in scored:
        holder = _at_or_none(event, where)
        if entries or logprobs.read(holder, field):
            logprobs.write(holder, field, entries)


def _in_template(shape: Shape, steps: Steps) -> Steps:
    """Where the leaf is in the event that holds only it: its lists have one item."""
    if shape.wire in ("openai.chat", "openai.completions"):
        return tuple(0 if isinstance(step, int) else step for step in steps)
    return steps


def _at_or_none(value: Any, steps: Steps) -> Any:
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step]
        else:
            return None
    return value


def _at(value: Any, steps: Steps) -> str:
    found = _at_or_none(value, steps)
    assert isinstance(found, str)
    return found


def _put(value: Any, steps: Steps, text: str) -> None:
    for step in steps[:-1]:
        value = value[step]
    value[steps[-1]] = text
