"""What a record may hold: types, their fields, and for each field a closed set of values.

There is no field for text, so nothing that a user wrote can get into the log by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sovereign.errors import RecordRejected
from sovereign.types import JSON, Action

__all__ = ["COUNT", "ID", "MAX_INT", "SCHEMA", "Field", "validate"]

MAX_INT = 2**53 - 1
"""RFC 8785 section 3.2.2.3: numbers are IEEE 754 doubles; beyond this they are not exact."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field: which values fit, in a predicate and in words.

    ``written`` is a regular expression for their canonical JSON, without groups; it may leave out
    values that fit. None: only the predicate can tell.
    """

    fits: Callable[[JSON], bool]
    says: str
    written: str | None = None
    optional: bool = False

    @property
    def maybe(self) -> Field:
        """The same field, which may be absent."""
        return replace(self, optional=True)


def _pattern(pattern: str, says: str) -> Field:
    match = re.compile(pattern, re.ASCII).fullmatch
    return Field(lambda v: type(v) is str and match(v) is not None, says, f'"{pattern}"')


def _one_of(*words: str) -> Field:
    written = f'"(?:{"|".join(words)})"'
    return Field(lambda v: type(v) is str and v in words, f"one of {', '.join(words)}", written)


def _integer(most: int, written: str) -> Field:
    fits = f"an integer from 0 to {most}"
    return Field(lambda v: type(v) is int and 0 <= v <= most, fits, written)


VERBS = tuple(action.verb for action in Action)
_ENTITY = re.compile(r"[A-Z0-9_]{1,64}", re.ASCII).fullmatch


def _is_entities(value: JSON) -> bool:
    """``{"PERSON": {"mask": 2}}``: what the policy did to how many findings of which kind."""
    return type(value) is dict and all(
        type(name) is str
        and _ENTITY(name) is not None
        and type(counts) is dict
        and all(verb in VERBS and type(n) is int and 0 < n <= MAX_INT for verb, n in counts.items())
        for name, counts in value.items()
    )


ID = _pattern(r"[A-Za-z0-9._:/@-]{1,128}", "an identifier of 1 to 128 of A-Z a-z 0-9 . _ : / @ -")
GLOB = _pattern(r"[A-Za-z0-9._:/@*-]{1,128}", "an identifier that may hold *")
WORD = _pattern(r"[a-z0-9_]{1,64}", "a word of a-z 0-9 _")
LICENCE = _pattern(r"[A-Za-z0-9.+-]{1,64}", "an SPDX licence identifier")
SHA256 = _pattern(r"[0-9a-f]{64}", "64 hex digits")
TOKEN = _pattern(r"[0-9a-f]{32}", "32 hex digits")
TOKEN_KEY = _pattern(r"[0-9a-f]{16}", "16 hex digits")
EPOCH = _pattern(r"[0-9]{4}-[0-9]{2}", "a month")
MOMENT = _pattern(r"[0-9:.TZ-]{10,24}", "a date and time in UTC")
ENTITY = _pattern(r"[A-Z0-9_]{1,64}", "an entity's name")
SIGNATURE = _pattern(r"[A-Za-z0-9+/=]{1,256}", "base64")
COMMIT = _pattern(r"[0-9a-f]{40}", "40 hex digits")
TIME = _pattern(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z",
    "a time in UTC with milliseconds",
)
COUNT = _integer(MAX_INT, "(?:0|[1-9][0-9]{0,14})")
STATUS = _integer(599, "(?:0|[1-5][0-9]{2})")
BOOL = Field(lambda v: type(v) is bool, "true or false", "(?:true|false)")
TOKENS = Field(
    lambda v: type(v) is list and len(v) <= 128 and all(map(TOKEN.fits, v)),
    "at most 128 tokens of 32 hex digits",
    rf"\[(?:{TOKEN.written}(?:,{TOKEN.written}){{0,127}})?\]",
)
# The order of the verbs is in it; that of the entities, who makes use of it has to see to.
_COUNTS = "".join(
    rf'(?:(?:(?<=\{{)|(?<!\{{),)"{verb}":[1-9][0-9]{{0,14}})?' for verb in sorted(VERBS)
)
_OF_ENTITY = rf'"[A-Z0-9_]{{1,64}}":\{{{_COUNTS}\}}'
ENTITIES = Field(
    _is_entities, "counts by entity and verb", rf"\{{(?:{_OF_ENTITY}(?:,{_OF_ENTITY})*)?\}}"
)
VERDICT = _one_of(*VERBS)
SIDE = _one_of("hosted", "local")
WEIGHTS = _one_of("folder", "gguf", "hub", "pickle", "bundle")
OUTCOME = _one_of("ok", "upstream_failed", "client_gone", "error")
LIMITS = Field(
    lambda v: type(v) is dict and all(WORD.fits(n) and COUNT.fits(c) for n, c in v.items()),
    "counts by word",
)
GLOBS = Field(
    lambda v: type(v) is list and len(v) <= 256 and all(map(GLOB.fits, v)), "a list of identifiers"
)

# Keyed tokens of the values that a decision was about; see tokens.py.
ABOUT = {
    "tokens": TOKENS.maybe,
    "tokens_cut": BOOL.maybe,
    "token_key": TOKEN_KEY.maybe,
    "token_epoch": EPOCH.maybe,
}

SCHEMA: dict[str, dict[str, Field]] = {
    # What may leave: durable before the first byte is sent.
    "request.intent": {
        "request": ID,
        "team": ID,
        "key_id": ID,
        "endpoint": ID,
        "model": ID,
        "destination": ID,
        "side": SIDE,
        "verdict": VERDICT,
        "policy": SHA256,
        "entities": ENTITIES,
        "guard_build": SHA256,
        "body_sha256": SHA256,
        "bytes_out": COUNT,
        "stream": BOOL,
        "rerouted": BOOL,
        **ABOUT,
    },
    "request.result": {
        "request": ID,
        "status": STATUS,
        "outcome": OUTCOME,
        "bytes_in": COUNT,
        "duration_ms": COUNT,
        # How often it was sent, if more than once: the same bytes, to the same destination.
        "tries": COUNT.maybe,
        "tokens_in": COUNT.maybe,
        "tokens_out": COUNT.maybe,
    },
    "request.refusal": {
        "request": ID,
        "team": ID.maybe,
        "key_id": ID.maybe,
        "endpoint": ID,
        "model": ID.maybe,
        "code": WORD,
        "status": STATUS,
        "destination": ID.maybe,
        "side": SIDE.maybe,
        "verdict": VERDICT.maybe,
        "policy": SHA256.maybe,
        "entities": ENTITIES.maybe,
        **ABOUT,
    },
    "gateway.start": {
        "version": ID,
        "policy": SHA256,
        "guard_build": SHA256,
        "policy_name": ID.maybe,
        "config_sha256": SHA256.maybe,
        "worker": COUNT.maybe,
        "workers": COUNT.maybe,
    },
    "gateway.stop": {"reason": WORD.maybe, "requests": COUNT.maybe},
    "policy.load": {"name": ID, "policy": SHA256, "previous": SHA256.maybe},
    # A policy file that was not taken over, and the digest of what stays in use.
    "policy.refuse": {"code": WORD, "kept": SHA256},
    "key.create": {
        "key_id": ID,
        "team": ID,
        "models": GLOBS.maybe,
        "destinations": GLOBS.maybe,
        "expires": MOMENT.maybe,
        "certificate": SHA256.maybe,
        "limits": LIMITS.maybe,
    },
    "key.rotate": {"key_id": ID, "team": ID, "until": MOMENT.maybe},
    "key.revoke": {"key_id": ID, "team": ID.maybe},
    "weights.import": {
        "name": ID,
        "kind": WEIGHTS,
        "digest": SHA256,
        # The hash of all that the lockfile says of it; older records have none.
        "seal": SHA256.maybe,
        "licence": LICENCE.maybe,
        "repo": ID.maybe,
        "commit": COMMIT.maybe,
        "files": COUNT.maybe,
        "bytes": COUNT.maybe,
    },
    "weights.verify": {
        "name": ID,
        "digest": SHA256,
        "files": COUNT.maybe,
        "bytes": COUNT.maybe,
    },
    "weights.download": {
        "name": ID,
        "digest": SHA256,
        "repo": ID,
        "commit": COMMIT,
        "team": ID,
        "bytes": COUNT,
    },
    "weights.refuse": {
        "name": ID.maybe,
        "code": WORD,
        "kind": WEIGHTS.maybe,
        "digest": SHA256.maybe,
        "repo": ID.maybe,
        "commit": COMMIT.maybe,
    },
    "tune.run": {
        "outcome": _one_of("ok", "error"),
        "base": ID,
        "base_digest": SHA256,
        "data_sha256": SHA256,
        "rows": COUNT,
        "recipe": ID.maybe,
        "method": WORD.maybe,
        "seed": COUNT.maybe,
        "steps": COUNT.maybe,
        "adapter_digest": SHA256.maybe,
        "run_sha256": SHA256.maybe,
        "duration_ms": COUNT.maybe,
    },
    "model.serve": {
        "model": ID,
        "base": ID.maybe,
        "base_digest": SHA256.maybe,
        "adapter_digest": SHA256.maybe,
        "engine": ID.maybe,
        "restarts": COUNT.maybe,
    },
    "model.stop": {"model": ID, "reason": WORD.maybe, "restarts": COUNT.maybe},
    # What the log found when it was opened; `covered` is the size of the last checkpoint then.
    "log.open": {"size": COUNT, "root": SHA256, "covered": COUNT},
    # A source that ends without it was killed, or still runs.
    "log.close": {},
    # The last record of a log: it goes on in log `next`.
    "log.end": {"next": COUNT, "reason": _one_of("period", "size", "asked")},
    # The first record of log `log`: the final checkpoint of the one before it, whole.
    "log.begin": {
        "log": COUNT,
        "previous": ID,
        "size": COUNT,
        "root": SHA256,
        "signature": SIGNATURE,
    },
    # While a hold stands, retention deletes no log that has records of that time in it. A hold
    # that stands is written again at the beginning of each log.
    "log.hold": {
        "name": ID,
        "action": _one_of("set", "release", "stands"),
        "since": MOMENT.maybe,
        "until": MOMENT.maybe,
    },
    # The records of log `log` were destroyed; its final checkpoint is kept.
    "log.delete": {
        "log": COUNT,
        "size": COUNT,
        "root": SHA256,
        "until": MOMENT,
        "retain_days": COUNT,
    },
    # The keys of a value's tokens were destroyed: nobody can find its records by it any more.
    "log.erase": {
        "erasure": ID,
        "token_key": TOKEN_KEY,
        "keys": COUNT,
        "reason": WORD.maybe,
    },
    # A source lives although it has nothing to say. `clients` is what a sequencer serves.
    "log.heartbeat": {"clients": COUNT.maybe},
    # This source was without its sequencer for so long; `resent` records had been under way, of
    # which `spooled` had been kept on disk, and `refused` were never promised to anybody.
    "log.restart": {
        "waited_ms": COUNT,
        "resent": COUNT,
        "spooled": COUNT,
        "refused": COUNT,
    },
    # The numbers of source `of` jump: those from `expected` to before `found` are lost.
    "log.gap": {"of": ID, "expected": COUNT, "found": COUNT},
    # What a source that is gone had kept on disk: `records` were new, `known` were in the log,
    # `damaged` lines could not be read.
    "log.spool": {"of": ID, "records": COUNT, "known": COUNT, "damaged": COUNT},
    "log.read": {
        "command": WORD,
        "records": COUNT.maybe,
        "by_type": ID.maybe,
        "by_request": ID.maybe,
    },
    # A report or an export was made: of which period, over a log of how many records. `sha256` is
    # the (first) file's.
    "log.report": {
        "framework": ID,
        "since": MOMENT,
        "until": MOMENT,
        "size": COUNT,
        "outcome": _one_of("ok", "error"),
        "sha256": SHA256.maybe,
    },
    "log.export": {"format": WORD, "since": MOMENT.maybe, "until": MOMENT.maybe},
    # Who asks for a value is recorded before the answer, under a token of its own.
    # One whose value was erased has none.
    "log.search": {
        "token": TOKEN.maybe,
        "token_key": TOKEN_KEY,
        "entity": ENTITY.maybe,
        "since": MOMENT.maybe,
        "until": MOMENT.maybe,
    },
    # Who asks for the words around findings of a scan is recorded before they are shown: those of
    # a token, of an entity, or all; `findings` is how many.
    "scan.reveal": {
        "token_key": TOKEN_KEY,
        "token": TOKEN.maybe,
        "entity": ENTITY.maybe,
        "findings": COUNT,
    },
}
"""Record type to its fields. :func:`sovereign.audit.record.encode` adds the envelope (v, time,
source, seq)."""

_SPEAKABLE = re.compile(r"[a-z0-9_.]{1,32}", re.ASCII).fullmatch


def validate(record: Mapping[str, JSON]) -> None:
    """Raises :class:`RecordRejected`, which names the field and what would fit, never the value."""
    kind = record.get("type")
    fields = SCHEMA.get(kind) if type(kind) is str else None
    if fields is None:
        raise RecordRejected(
            "record type is not in the schema", hint=f"there are: {', '.join(SCHEMA)}"
        )
    for name, value in record.items():
        field = fields.get(name)
        if field is None:
            if name == "type":
                continue
            spoken = name if type(name) is str and _SPEAKABLE(name) else "one that is not a word"
            raise RecordRejected(
                f"{kind}: unknown field: {spoken}", hint=f"fields: {', '.join(fields)}"
            )
        if not field.fits(value):
            raise RecordRejected(f"{kind}: field {name} must be {field.says}")
    missing = [n for n, field in fields.items() if not field.optional and n not in record]
    if missing:
        raise RecordRejected(f"{kind}: field {missing[0]} is missing")
