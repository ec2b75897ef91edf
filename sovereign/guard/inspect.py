"""The one road from a body to what may leave of it: leaves, views, recognize, resolve, decide,
transform. It sends nothing; whoever sends checks the outgoing bytes with the inspection in hand."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sovereign.config import Config
from sovereign.errors import ConfigError, RecognizerFailed, TooLarge, Unreadable
from sovereign.guard import body as bodies
from sovereign.guard import form, opaque, residual, resolve, shapes, views
from sovereign.guard import unread as unreadable
from sovereign.guard.body import Limits
from sovereign.guard.carried import Carried
from sovereign.guard.documents import Documents
from sovereign.guard.documents.configured import documents_from
from sovereign.guard.needles import Needles
from sovereign.guard.restore import Restorer
from sovereign.guard.rules import InForce, Rules, at_least
from sovereign.guard.scan import Deadline, Scanner
from sovereign.guard.settled import Settled
from sovereign.guard.surrogates import Style, Surrogates
from sovereign.guard.tokens import Tokenizers
from sovereign.guard.transform import Transformed, transform
from sovereign.policy import Policy, decide, load_policy
from sovereign.types import JSON, Action, Destination, Finding, Recognizer, Verdict

if TYPE_CHECKING:
    from sovereign.guard.client import AsyncClient, Client

__all__ = ["Guard", "Inspection", "TakesLong"]

PIPELINE = "3"
"""Raised when the same recognisers may find something else, so that records tell builds apart."""

CANARY = "Canary: mail canary.bird@example.com or use card 4111 1111 1111 1111."
_CANARY_FINDS = frozenset({"EMAIL_ADDRESS", "CREDIT_CARD"})
MIN_KEY = 16
HOSTED: Final = Destination("hosted", "hosted")
"""Somebody else's machines, for a policy that does not tell one from another."""


class TakesLong(Exception):
    """What was to be quick is not. Nothing was decided: ask again in a thread."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the guard made of one request at one destination.

    ``findings`` runs parallel to ``verdict.actions``. ``body`` may be sent only if the verdict is
    below LOCAL for this destination. ``values`` are what was found, as (entity, value), whatever
    the verdict is: only for keyed tokens, never to be stored. ``repr`` shows counts.
    """

    verdict: Verdict
    findings: tuple[Finding, ...]
    restorer: Restorer
    body: JSON
    values: tuple[tuple[str, str], ...] = field(compare=False)
    _held: residual.Held = field(compare=False)
    _ascii: bool = field(default=False, compare=False)
    boundary: str | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        action, count = self.verdict.action.verb, len(self.findings)
        return f"Inspection({action} at {self.verdict.destination.name}, {count} findings)"

    @property
    def content_type(self) -> str:
        """Of the bytes to send."""
        if self.boundary is not None:
            return f"multipart/form-data; boundary={self.boundary}"
        return "application/json"

    def encode(self) -> bytes:
        """The bytes to send: the transformed body as compact UTF-8 JSON, or as the form it was."""
        if self.boundary is not None:
            return form.encode(self.body, self.boundary)
        return bodies.encode(self.body, ascii_only=self._ascii)

    def check_residual(
        self, *, raw: bytes, url: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Raises :class:`ResidualFound` if a held-back value is in what is about to leave."""
        self._held.check(raw=raw, url=url, headers=headers or {}, content_type=self.content_type)


class Guard:
    """Inspects bodies under one policy with one list of recognisers. Thread-safe."""

    def __init__(
        self,
        policy: Policy,
        recognizers: Sequence[Recognizer],
        *,
        key: bytes,
        limits: Limits | None = None,
        style: Style = "tags",
        documents: Documents | None = None,
        url_hosts: Sequence[str] = (),
        tokenizers: Mapping[str, Path] | None = None,
    ) -> None:
        """``key``: at least 16 random bytes, for the surrogates; ``style``: what these look like.
        ``documents`` reads what is no text; ``url_hosts`` may be named as content to fetch;
        ``tokenizers`` are files by model."""
        if len(key) < MIN_KEY:
            raise ConfigError(f"the surrogate key is shorter than {MIN_KEY} bytes")
        self.policy = policy
        self.limits = limits or Limits()
        self.style = style
        self.build = build_digest(recognizers)
        self._key = key
        self._in_force: InForce | None = None
        self._settled = Settled()
        self.scanner = Scanner(recognizers, cache_key=hashlib.sha256(key).digest())
        self.documents = documents or Documents()
        self._hosts = opaque.Hosts(url_hosts)
        self._tokens = Tokenizers(tokenizers or {})

    def __repr__(self) -> str:
        return f"Guard(policy={self.policy.name}, build={self.build[:12]})"

    @classmethod
    def from_config(cls, config: Config) -> Guard:
        """As sovereign.toml says. Raises :class:`ConfigError` or :class:`MissingExtra`."""
        from sovereign.guard.recognizers import from_config as recognizers

        file = config.policy.file
        policy = load_policy(
            preset=config.policy.preset, file=None if file is None else config.resolve(file)
        )
        path = config.resolve(config.guard.key_file)
        try:
            key = path.read_bytes()
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such file", hint="`sovereign init` makes it") from None
        except OSError as e:
            raise ConfigError(f"{path}: {e.strerror}") from None
        settings = config.guard
        limits = Limits(
            max_body_bytes=settings.max_body_bytes,
            max_depth=settings.max_depth,
            max_leaves=settings.max_leaves,
            deadline_s=settings.deadline_s,
        )
        found = recognizers(settings, folder=config.resolve(Path()), policy=policy)
        return cls(
            policy,
            found,
            key=key,
            limits=limits,
            style=settings.surrogates,
            documents=documents_from(config.documents),
            url_hosts=config.documents.url_hosts,
            tokenizers={m: config.resolve(f) for m, f in config.documents.tokenizers.items()},
        )

    def read(
        self, raw: bytes, *, content_encoding: str | None = None, content_type: str | None = None
    ) -> JSON:
        """``raw`` as one strict JSON value or form. Raises :class:`Unreadable` or
        :class:`TooLarge`."""
        if content_type is not None and form.is_form(content_type):
            if len(raw) > self.limits.max_body_bytes:
                raise TooLarge(f"the body is over {self.limits.max_body_bytes} bytes")
            if (content_encoding or "identity").strip().lower() != "identity":
                raise Unreadable("the body is compressed", hint="send it without content-encoding")
            return form.read(raw, content_type)
        return bodies.read(
            raw, self.limits, content_encoding=content_encoding, content_type=content_type
        )

    def inspect(
        self,
        body: JSON,
        *,
        to: Destination,
        shape: str | None = None,
        tenant: str = "default",
        held: Callable[[str], bool] | None = None,
        quick: bool = False,
    ) -> Inspection:
        """The one road. Blocking and CPU-bound: call it in a thread.

        Raises :class:`Unreadable`, :class:`TooLarge` or :class:`RecognizerFailed`; then nothing may
        leave. ``shape`` names the endpoint, and with it what is structure. ``held`` knows the ids
        of what this caller left at ``to`` before. With ``quick``, :class:`TakesLong` if more than
        recognisers that are quick would have to read it.
        """
        if quick and not self.scanner.quick:
            raise TakesLong
        known = shapes.SHAPES[shape] if shape is not None else None
        is_form = isinstance(body, form.Form)
        rules = self._rules(tenant, to)
        policy, acts = rules.policy, rules.acts
        free, text = self._leaves(body, known)
        seen = opaque.found(body, free, known, hosts=self._hosts, held=held)
        carried: Carried | None = None
        if seen.special:
            if quick:
                raise TakesLong
            body, carried = self._special(body, seen, known, to, policy)
            free, text = self._leaves(body, known)
            free = [leaf for leaf in free if leaf.path not in seen.kept]
        unread = seen.unread
        reads = [views.of_leaf(leaf) for leaf in free]
        first = len(free)
        if carried is not None:
            free, reads = free + carried.leaves, reads + carried.readings
            unread += carried.unread
        deadline = Deadline(self.limits.deadline_s)
        names = self._settled.names(free, reads, rules.name)
        settled = {i: f for i, n in names.items() if (f := self._settled.get(n)) is not None}
        hits = self.scanner.scan(free, reads, deadline, known=settled, joined_to=first)

        learn = {
            i: partial(self._settled.learn, name) for i, name in names.items() if i not in settled
        }
        spelled = Needles()  # empty: what it shares is how a value is looked for
        chosen = resolve.resolve(
            free,
            reads,
            hits,
            acts,
            policy.counts,
            settled,
            learn,
            spelled,
        )
        given = [hit.finding for hit in chosen.hits]
        floor = policy.escalated(given, to)
        if floor:  # what is held back only now is held back wherever it recurs, too
            hits = self.scanner.scan(free, reads, deadline, joined_to=first)
            stricter = at_least(acts, floor)
            chosen = resolve.resolve(free, reads, hits, stricter, policy.counts, like=spelled)
            given = [hit.finding for hit in chosen.hits]
            for entity, least in policy.escalated(given, to).items():
                floor[entity] = max(least, floor.get(entity, least))
        unread += unreadable.blobs(free, chosen.hits)
        verdict = decide(policy, given, to, floor, digest=rules.digest, acts=acts)
        texts = [text, *(leaf.text for leaf in (carried.leaves if carried else ()))]
        surrogates = Surrogates(self._key, tenant, texts, self.style)
        done: Transformed = transform(body, free, *chosen, verdict.actions, surrogates)
        out = done.body
        if carried is not None and (to.side == "local" or not unread):
            if verdict.action < Action.LOCAL:
                stuck = carried.change(done, chosen.hits, verdict.actions, first)
                if stuck and to.side == "local":
                    raise Unreadable(f"the request holds {stuck[0]}, and it cannot be taken out")
                unread += stuck
            out = carried.put_back(out)
        verdict = unreadable.judge(verdict, unread, policy, to)
        return Inspection(
            verdict=verdict,
            findings=tuple(given),
            restorer=Restorer(surrogates.tags, surrogates.words),
            body=out,
            values=tuple(chosen.said),
            _held=residual.Held(
                done.values,
                done.placeholders,
                known,
                self.limits,
                carried.outgoing() if carried else None,
                spelled,
            ),
            _ascii=text.isascii(),
            boundary=form.new_boundary() if is_form else None,
        )

    def derived_key(self, purpose: str) -> bytes:
        """32 bytes that nobody without the guard's key can tell, of their own for each purpose."""
        return hmac.digest(self._key, b"sovereign/derived/v1\0" + purpose.encode(), "sha256")

    def _leaves(self, body: JSON, known: shapes.Shape | None) -> tuple[list[bodies.Leaf], str]:
        """The leaves that may tell something, and the texts of all."""
        if known is None:
            return bodies.gather(body, self.limits)
        leaves, text = bodies.gather(body, self.limits, shapes.KEYS)
        return known.free(leaves), text

    def _special(
        self,
        body: JSON,
        seen: opaque.Seen,
        known: shapes.Shape | None,
        to: Destination,
        policy: Policy,
    ) -> tuple[JSON, Carried | None]:
        """What only few bodies hold: documents, token ids, content to be fetched."""
        if to.side == "local":
            unreadable.keep_inside(seen)
        if seen.token_ids and (to.side == "hosted" or _acts_at(policy, to)):
            text = self._tokens.decoded(body, known.token_ids if known else frozenset())
            if text is None:
                seen.unread.append("token ids")
            else:
                body = text
        if not seen.parcels:
            return body, None
        wanted = to.side == "hosted" or _acts_at(policy, to)
        carried = Carried(body, seen, self.documents if wanted else None, inside=to.side == "local")
        return carried.body, carried

    def canary(self) -> None:
        """Raises :class:`RecognizerFailed` unless the recognisers find what they must."""
        leaf = bodies.Leaf((), CANARY, "text")
        hits = self.scanner.scan(
            [leaf], [views.of_leaf(leaf)], Deadline(self.limits.deadline_s), fresh=True
        )
        found = {h.finding.entity for h in hits if self.policy.counts(h.finding)}
        if not found >= _CANARY_FINDS:
            lost = min(_CANARY_FINDS - found)
            raise RecognizerFailed(f"the recognisers no longer find a known {lost}")

    def http_client(self, to: Destination = HOSTED, **options: Any) -> Client:
        """An ``httpx2.Client`` for any SDK: ``OpenAI(http_client=guard.http_client())``. ``to``
        names the destination, for a policy with verbs of its own there."""
        from sovereign.guard.client import sync_client

        return sync_client(self, to, **options)

    def async_http_client(self, to: Destination = HOSTED, **options: Any) -> AsyncClient:
        """As :meth:`http_client`, an ``httpx2.AsyncClient``."""
        from sovereign.guard.client import async_client

        return async_client(self, to, **options)

    def _rules(self, tenant: str, to: Destination) -> Rules:
        """What the policy that decides comes to here."""
        known = self._in_force
        if known is None or known.policy is not self.policy:
            known = self._in_force = InForce(self.policy)
        return known.rules(tenant, to)


def _acts_at(policy: Policy, to: Destination) -> bool:
    """Whether ``policy`` keeps anything from a model inside."""
    tables = (policy.local, policy.destination.get(to.name, {}))
    return any(verb != "allow" for table in tables for verb in table.values())


def build_digest(recognizers: Sequence[Recognizer]) -> str:
    """SHA-256, in hex, over the recognisers' names and builds and this pipeline's version."""
    digest = hashlib.sha256(f"pipeline {PIPELINE}\n".encode())
    for recognizer in recognizers:
        digest.update(f"{recognizer.name} {recognizer.build}\n".encode())
    return digest.hexdigest()
