"""Generates for many requests at once: one thread, one growing batch, tokens out as they come.

Requests join and leave between steps. The batch is left-padded: row ``i`` has ``pad[i]`` empty
slots before its first token, so a row that joins or leaves moves nobody's positions. A prompt is
read in bounded chunks, between which running requests go on. (Why not transformers' own continuous
batching: it has no seed per request, and was slower here; docs/serve.md holds the figures.)

A failure of one step ends the requests of that step, and the thread only if the model cannot take a
single step after it: then somebody has to start it anew. A caller hears of a step
after the batch is what that step made of it: whoever has read a token is counted in
:attr:`Batcher.load`, and whoever has read the end is not.
"""

from __future__ import annotations

import collections
import contextlib
import gc
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache

from sovereign.serve.engines import adapted as adapters
from sovereign.serve.engines.memory import lacked
from sovereign.serve.engines.row import Failed, Job, Row

__all__ = ["Batcher", "Full"]


class Full(Exception):
    """Too many requests wait."""


@dataclass(eq=False)
class _Part:
    """Rows with one cache. ``length`` counts slots; ``pad[i]`` of row ``i``'s are empty.
    ``prompt`` is the left-padded block that is still being read into the cache."""

    rows: list[Row]
    pad: list[int]
    prompt: torch.Tensor
    length: int = 0
    cache: Any = field(default_factory=DynamicCache)

    def keep(self, alive: list[bool]) -> None:
        """Drop rows, and the slots that are empty in all that stay."""
        if all(alive):
            return
        index = [i for i, a in enumerate(alive) if a]
        self.rows = [self.rows[i] for i in index]
        self.pad = [self.pad[i] for i in index]
        if not index:
            return
        free = min(min(self.pad), self.length)
        for layer in self.cache.layers:
            if layer.is_initialized:
                layer.keys = layer.keys[index][:, :, free:]
                layer.values = layer.values[index][:, :, free:]
        self.prompt = self.prompt[index][:, free:]
        self.pad = [p - free for p in self.pad]
        self.length -= free

    def join(self, other: _Part) -> None:
        """Take in the rows of ``other``: the shorter cache is padded on the left."""
        length = max(self.length, other.length)
        mine, theirs = length - self.length, length - other.length
        for a, b in zip(self.cache.layers, other.cache.layers, strict=True):
            a.keys = torch.cat([_pad(a.keys, mine), _pad(b.keys, theirs)])
            a.values = torch.cat([_pad(a.values, mine), _pad(b.values, theirs)])
        self.rows += other.rows
        self.prompt = self.prompt.new_empty((len(self.rows), 0))
        self.pad = [p + mine for p in self.pad] + [p + theirs for p in other.pad]
        self.length = length


def _pad(states: torch.Tensor, slots: int) -> torch.Tensor:
    return torch.nn.functional.pad(states, (0, 0, slots, 0)) if slots else states


class Batcher:
    """The generating thread and its bounded queue. ``decode`` turns token ids into text.

    ``slots`` requests run at once, ``waiting`` more may wait; ``chunk`` is how many prompt tokens
    one turn reads. A model that is ``adapted`` answers each row with its own adapter or none.
    ``broken`` is called in the thread, which then ends, when the model does not work any more.
    """

    def __init__(
        self,
        model: Any,
        decode: Callable[[list[int]], str],
        eos: frozenset[int],
        *,
        slots: int = 8,
        waiting: int = 64,
        chunk: int = 512,
        adapted: bool = False,
        broken: Callable[[], None] = lambda: None,
    ) -> None:
        self._model = model
        self._adapted = adapted
        self._broken = broken
        self._embeds: collections.deque[tuple[Sequence[int], Future[list[float]]]]
        self._embeds = collections.deque()
        self._decode = decode
        self._eos = eos
        self._slots = slots
        self._limit = waiting
        self._chunk = chunk
        self._changed = threading.Condition()
        self._queue: collections.deque[Job] = collections.deque()
        self._closing = False
        self._joining: list[Job] = []  # neither in the queue any more, nor in a part yet
        self._reading: _Part | None = None
        self._running: _Part | None = None
        self._thread = threading.Thread(target=self._run, name="generate", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def closing(self) -> bool:
        """Whether it takes nothing more."""
        return self._closing

    @property
    def load(self) -> tuple[int, int]:
        """How many requests are in the batch, and how many wait."""
        return len(self._jobs()), len(self._queue)

    def submit(self, *jobs: Job) -> None:
        """Queue ``jobs``, all or none: those of one request are admitted together, whatever the
        two threads are doing meanwhile. Their events begin later. Raises :class:`Full`."""
        with self._changed:
            if len(self._queue) + len(jobs) > self._limit:  # who left while waiting has no place
                self._queue = collections.deque(j for j in self._queue if not j.cancelled)
            if self._closing or len(self._queue) + len(jobs) > self._limit:
                raise Full
            self._queue.extend(jobs)
            self._changed.notify()

    def embed(self, tokens: Sequence[int]) -> Future[list[float]]:
        """The mean of the last layer over ``tokens``, of length 1; given between two steps. Raises
        :class:`Full`."""
        made: Future[list[float]] = Future()
        with self._changed:
            if self._closing or len(self._embeds) >= self._limit:
                raise Full
            self._embeds.append((tokens, made))
            self._changed.notify()
        return made

    def close(self) -> None:
        """End every request and the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout=30)

    # ---- the generating thread -------------------------------------------------------------

    def _run(self) -> None:
        while self._wait():
            try:
                with torch.inference_mode():
                    self._turn()
            except Exception as e:  # noqa: BLE001 — a step that fails must not take the engine down
                self._fail_all(e)
                if not self._works():
                    with self._changed:
                        self._closing = True
                    self._broken()
        for job in [*self._jobs(), *self._queue]:
            job.emit(Failed("shutting_down"))
        for _, future in self._embeds:
            future.cancel()

    def _wait(self) -> bool:
        with self._changed:
            while not (
                self._closing or self._queue or self._embeds or self._reading or self._running
            ):
                self._changed.wait()
            return not self._closing

    def _jobs(self) -> list[Job]:
        # A row that joins the batch is in both parts for a moment; it is never in neither.
        parts = [p for p in (self._running, self._reading) if p is not None]
        return list(dict.fromkeys([*self._joining, *(r.job for p in parts for r in p.rows)]))

    def _fail_all(self, error: Exception) -> None:
        """End the requests of the failed step. The log gets where it failed, never a message:
        that might hold a prompt."""
        where = traceback.extract_tb(error.__traceback__)[-1]
        print(  # noqa: T201 — the supervisor reads stderr
            f"generation failed: {type(error).__name__} at {where.filename}:{where.lineno}",
            file=sys.stderr,
            flush=True,
        )
        memory = lacked(error)
        jobs = self._jobs()
        self._reading = self._running = None
        self._joining = []
        for job in jobs:
            job.emit(Failed("out_of_memory" if memory else "engine_error"))
        del error
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _works(self) -> bool:
        """Whether the model takes a step: oneDNN that got no memory once may refuse for ever."""
        try:
            with torch.inference_mode():
                self._model(input_ids=torch.tensor([[0]]).to(self._model.device), use_cache=False)
        except Exception:  # noqa: BLE001 — whatever it is, it is the answer
            return False
        return True

    def _turn(self) -> None:
        """Let go of who left, read a chunk of new prompts, generate one token for everybody, and
        embed one text."""
        self._embed()
        self._running = _without_cancelled(self._running)
        self._reading = _without_cancelled(self._reading) or self._admit()
        self._joining = []
        if self._reading is not None:
            self._read(self._reading)
        if self._running is not None:
            self._step(self._running)

    def _admit(self) -> _Part | None:
        """The next waiting requests that fit, as one left-padded block of prompts."""
        free = self._slots - (len(self._running.rows) if self._running else 0)
        jobs = self._joining = []
        longest = 0
        with self._changed:
            while self._queue and len(jobs) < free:
                if self._queue[0].cancelled:
                    self._queue.popleft()
                    continue
                longest = max(longest, len(self._queue[0].prompt))
                # Prompts of very different length would be read mostly as padding.
                if jobs and longest * (len(jobs) + 1) > 4 * self._chunk:
                    break
                jobs.append(self._queue.popleft())
        if not jobs:
            return None
        longest = max(len(j.prompt) for j in jobs)
        pad = [longest - len(j.prompt) for j in jobs]
        prompt = torch.tensor([[0] * p + list(j.prompt) for p, j in zip(pad, jobs, strict=True)])
        return _Part([Row(j, self._decode) for j in jobs], pad, prompt)

    def _read(self, part: _Part) -> None:
        """One chunk of the prompts; after the last one the rows join the batch."""
        size = max(1, self._chunk // len(part.rows))
        logits = self._forward(part, part.prompt[:, part.length : part.length + size])
        if part.length < part.prompt.shape[1]:
            return
        part.prompt = part.prompt[:, :0]
        heard = self._sample(part, logits)
        if part.rows and self._running is not None:
            self._running.join(part)
        elif part.rows:
            self._running = part
        self._reading = None
        _tell(heard)

    def _step(self, part: _Part) -> None:
        logits = self._forward(part, torch.tensor([[r.last] for r in part.rows]))
        heard = self._sample(part, logits)
        if not part.rows:
            self._running = None
        _tell(heard)

    def _forward(self, part: _Part, tokens: torch.Tensor) -> torch.Tensor:
        """Append ``tokens`` (rows x n) to the cache; logits of the last column (rows x vocab)."""
        end = part.length + tokens.shape[1]
        pad = torch.tensor(part.pad).unsqueeze(1)
        # Without padding there is no mask at all, which spares the attention a copy.
        mask = (torch.arange(end) >= pad).long() if any(part.pad) else None
        position = (torch.arange(part.length, end) - pad).clamp(min=0)
        device = self._model.device
        out = self._model(
            input_ids=tokens.to(device),
            attention_mask=None if mask is None else mask.to(device),
            position_ids=position.to(device),
            past_key_values=part.cache,
            use_cache=True,
            logits_to_keep=1,
            **(adapters.choose([r.job.adapter for r in part.rows]) if self._adapted else {}),
        )
        part.length = end
        logits: torch.Tensor = out.logits[:, -1].float().cpu()
        return logits

    def _sample(self, part: _Part, logits: torch.Tensor) -> list[Row]:
        """A token for each row of ``part``, which keeps those that go on. All rows that it had:
        they have news."""
        rows = part.rows
        part.keep(
            [
                not row.job.cancelled and row.draw(line, self._eos)
                for row, line in zip(rows, logits, strict=True)
            ]
        )
        return rows

    def _embed(self) -> None:
        if not self._embeds:
            return
        tokens, future = self._embeds.popleft()
        if not future.set_running_or_notify_cancel():
            return
        try:
            ids = torch.tensor([list(tokens)]).to(self._model.device)
            # The body of the model, without the map to the vocabulary, which costs more.
            body = self._model.get_decoder()
            with adapters.none(self._model) if self._adapted else contextlib.nullcontext():
                states = body(input_ids=ids, use_cache=False)
            mean = states.last_hidden_state[0].float().mean(dim=0)
            future.set_result(torch.nn.functional.normalize(mean, dim=0).cpu().tolist())
        except Exception as e:  # noqa: BLE001 — told to the caller that waits, as its failure
            future.set_exception(e)


def _tell(rows: list[Row]) -> None:
    for row in rows:
        row.tell()


def _without_cancelled(part: _Part | None) -> _Part | None:
    if part is None or not any(r.job.cancelled for r in part.rows):
        return part
    if all(r.job.cancelled for r in part.rows):
        return None
    part.keep([not r.job.cancelled for r in part.rows])
    return part
