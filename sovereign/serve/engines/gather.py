"""The answers to one request: several jobs, whose events arrive interleaved in one queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from sovereign.serve.engines.answer import Answer, Said
from sovereign.serve.engines.messages import Call
from sovereign.serve.engines.row import Done, Event, Failed, Job, Piece
from sovereign.serve.engines.tools import CallFilter

__all__ = ["Choices", "Stopped"]


class Stopped(Exception):
    """An answer failed, and with it the request."""

    def __init__(self, failure: Failed) -> None:
        super().__init__(failure.code)
        self.failure = failure


class Choices:
    """Collects what ``count`` jobs emit. With ``calls``, calls of tools are told from text."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int, *, calls: bool) -> None:
        self._loop = loop
        self._events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
        self._first: tuple[int, Event] | None = None
        self._filters = [CallFilter() if calls else None for _ in range(count)]
        self._said = [Said() for _ in range(count)]
        self._done: list[Done | None] = [None] * count
        self.jobs: Sequence[Job] = ()

    def emit(self, index: int) -> Callable[[Event], None]:
        """What job ``index`` calls, in the generating thread."""

        def hand_over(event: Event) -> None:
            # A loop that has closed has no callers left.
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._events.put_nowait, (index, event))

        return hand_over

    def cancel(self) -> None:
        """Nobody waits for them any more; a finished job does not notice."""
        for job in self.jobs:
            job.cancel()

    async def begun(self) -> bool:
        """True once there is a first event. Raises :class:`Stopped` if it is a failure: the
        status of the answer can still say so."""
        self._first = await self._events.get()
        if isinstance(self._first[1], Failed):
            raise Stopped(self._first[1])
        return True

    async def whole(self) -> list[tuple[Said, Done]]:
        """Every answer to its end. Raises :class:`Stopped`."""
        async for _ in self._changes():
            pass
        return [(s, d) for s, d in zip(self._said, self._done, strict=True) if d is not None]

    async def stream(
        self, answer: Answer, failed: Callable[[Failed], bytes]
    ) -> AsyncIterator[bytes]:
        """The chunks of all answers. A failure is an ``error`` event and no ``[DONE]``: SDKs
        raise."""
        for index in range(len(self._said)):
            yield answer.role(index)
        sent = [0] * len(self._said)
        try:
            async for index, piece, calls in self._changes():
                said = self._said[index]
                if piece is not None:
                    yield answer.piece(index, piece.text, piece.tokens, sent[index])
                    sent[index] += len(piece.text)
                for place, call in enumerate(calls, len(said.calls) - len(calls)):
                    yield answer.call(index, place, call)
                done = self._done[index]
                if done is not None:
                    yield answer.end(index, done, bool(said.calls))
        except Stopped as stopped:
            yield failed(stopped.failure)
            return
        yield answer.close(sum(d.tokens for d in self._done if d is not None))

    async def _changes(self) -> AsyncIterator[tuple[int, Piece | None, list[Call]]]:
        """What was added to which answer, until all are done."""
        while None in self._done:
            index, event = self._first or await self._events.get()
            self._first = None
            if isinstance(event, Failed):
                raise Stopped(event)
            calls: list[Call] = []
            if isinstance(event, Done):
                self._done[index] = event
                held = self._filters[index]
                piece = Piece(held.flush() if held else "")
            else:
                piece, calls = self._heard(index, event)
            said = self._said[index]
            said.text += piece.text
            said.calls += calls
            said.scored += piece.tokens
            yield index, piece if piece.text or piece.tokens else None, calls

    def _heard(self, index: int, piece: Piece) -> tuple[Piece, list[Call]]:
        split = self._filters[index]
        if split is None:
            return piece, []
        parts = split.feed(piece.text)
        texts = "".join(p for p in parts if isinstance(p, str))
        return Piece(texts, piece.tokens), [p for p in parts if isinstance(p, Call)]
