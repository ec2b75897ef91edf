"""Requests of other wires on their way to a local model that speaks OpenAI chat, and back.

What a policy keeps inside must have somewhere to go, whichever SDK it came from. Only for local
models; what chat cannot carry is refused by its name, never dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from sovereign.gateway.translate import messages, responses
from sovereign.types import JSON

__all__ = ["TRANSLATIONS", "EventTranslator", "Translation"]

Named = tuple[str | None, JSON]


class EventTranslator(Protocol):
    """The chunks of one streamed ``chat.completion`` as the events of another wire."""

    def feed(self, chunk: JSON) -> list[Named]:
        """The events that ``chunk`` stands for. Raises :class:`UpstreamFailed`."""
        ...

    def finish(self) -> list[Named]:
        """The events that end the reply."""
        ...


@dataclass(frozen=True, slots=True)
class Translation:
    """``request`` raises :class:`Unsupported`, ``reply`` :class:`UpstreamFailed`; both get a body,
    ``reply`` and ``events`` the request's id too."""

    request: Callable[[JSON], JSON]
    reply: Callable[[JSON, str], JSON]
    events: Callable[[str], EventTranslator]


TRANSLATIONS: Final = {
    "anthropic.messages": Translation(
        messages.request_out, messages.reply_back, messages.MessageEvents
    ),
    "openai.responses": Translation(
        responses.request_out, responses.reply_back, responses.ResponseEvents
    ),
}
"""By the shape that the request came in."""
