"""Every failure of the toolkit, as one tree. A message never holds text that a user entrusted.

::

    SovereignError
    ├── ConfigError            sovereign.toml, a policy or a recipe says something that cannot be
    ├── MissingExtra           an optional part is not installed
    ├── GuardError             the request must not leave
    │   ├── Unreadable         it holds something that was not, or cannot be, read
    │   ├── Refused            the policy says block
    │   ├── RecognizerFailed   a recogniser raised or ran out of time
    │   └── ResidualFound      a held-back value is still in the outgoing bytes: a bug, caught
    ├── AuditError
    │   ├── LogUnavailable     a record cannot be made durable, so nothing may leave
    │   ├── RecordRejected     a record holds a field that the schema does not allow
    │   └── LogTampered        the log is not what was signed
    ├── WeightsError
    │   ├── NotAdmitted        a file that may not enter the store
    │   └── NotVerified        the store is not what the lock says
    ├── ScanError              a scan cannot begin or go on
    ├── TuneError              data, recipe or training
    ├── ServeError
    │   ├── PassportRefused    an adapter is not what a trusted key signed
    │   └── EngineDown         the engine did not start, or died
    └── GatewayError
        ├── NotAuthenticated   no key, or an unknown one
        ├── NotPermitted       the key may not use this model
        ├── UnknownModel       no destination serves it
        ├── NotFound           what is named is not the caller's, so it does not exist
        ├── UnknownEndpoint    a path, method or content type that nobody inspects
        ├── Unsupported        the destination's wire cannot carry what the request asks for
        ├── TooLarge           over a configured bound
        ├── Overloaded         a queue is full; try again
        ├── RateLimited        the key's or the team's rate is used up for now
        │   └── BudgetSpent    its budget of this month is used up
        ├── LimitsUnavailable  what was used cannot be counted, so nothing more may be
        └── UpstreamFailed     the destination did not answer as it should
"""

from __future__ import annotations

__all__ = [
    "AuditError",
    "BudgetSpent",
    "ConfigError",
    "EngineDown",
    "GatewayError",
    "GuardError",
    "LimitsUnavailable",
    "LogTampered",
    "LogUnavailable",
    "MissingExtra",
    "NotAdmitted",
    "NotAuthenticated",
    "NotFound",
    "NotPermitted",
    "NotVerified",
    "Overloaded",
    "PassportRefused",
    "RateLimited",
    "RecognizerFailed",
    "RecordRejected",
    "Refused",
    "ResidualFound",
    "ScanError",
    "ServeError",
    "SovereignError",
    "TooLarge",
    "TuneError",
    "UnknownEndpoint",
    "UnknownModel",
    "Unreadable",
    "Unsupported",
    "UpstreamFailed",
    "WeightsError",
]


class SovereignError(Exception):
    """One line that says what happened, and a hint that says what to do.

    ``code`` is stable: it goes into the audit log and into error bodies. ``status`` is the HTTP
    status that the gateway answers with.
    """

    code = "error"
    status = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class ConfigError(SovereignError):
    """A configuration, policy or recipe file names something that cannot be."""

    code = "config"


class MissingExtra(SovereignError):
    """An optional part of the toolkit is not installed."""

    code = "missing_extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} is not installed", hint=f"pip install 'sovereign-toolkit[{extra}]'"
        )


class GuardError(SovereignError):
    """The request must not leave in this form."""

    code = "guard"
    status = 400


class Unreadable(GuardError):
    """The request holds something that cannot be read, so it cannot be cleared."""

    code = "unreadable"


class Refused(GuardError):
    """The policy refuses the request at this destination."""

    code = "refused_by_policy"
    status = 403


class RecognizerFailed(GuardError):
    """A recogniser raised or passed its deadline; the message names it."""

    code = "recognizer_failed"
    status = 503


class ResidualFound(GuardError):
    """The outgoing bytes still hold a value that was to be held back."""

    code = "residual_found"
    status = 500


class AuditError(SovereignError):
    """The audit log cannot do what was asked."""

    code = "audit"


class LogUnavailable(AuditError):
    """A record cannot be made durable."""

    code = "audit_unavailable"
    status = 503


class RecordRejected(AuditError):
    """A record does not fit the allow-listed schema."""

    code = "record_rejected"


class LogTampered(AuditError):
    """The log is not what its signer signed. ``index`` is the first bad record, where known."""

    code = "log_tampered"

    def __init__(self, message: str, *, index: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.index = index


class WeightsError(SovereignError):
    """Weights cannot be imported, pulled or found."""

    code = "weights"


class NotAdmitted(WeightsError):
    """A file that may not enter the store."""

    code = "not_admitted"


class NotVerified(WeightsError):
    """The store is not what the lock says; the message names the file."""

    code = "not_verified"


class ScanError(SovereignError):
    """A scan cannot begin or go on."""

    code = "scan"


class TuneError(SovereignError):
    """Data, recipe or training failed."""

    code = "tune"


class ServeError(SovereignError):
    """A model cannot be served."""

    code = "serve"
    status = 503


class PassportRefused(ServeError):
    """An adapter has no passport, or one that is not trusted, or is not what the passport says."""

    code = "passport_refused"


class EngineDown(ServeError):
    """The engine did not start, or died."""

    code = "engine_down"


class GatewayError(SovereignError):
    """The gateway cannot take or forward the request."""

    code = "gateway"
    status = 400


class NotAuthenticated(GatewayError):
    """No key, or one that the gateway does not know."""

    code = "invalid_api_key"
    status = 401


class NotPermitted(GatewayError):
    """The key may not use this model."""

    code = "not_permitted"
    status = 403


class UnknownModel(GatewayError):
    """No destination serves the model."""

    code = "model_not_found"
    status = 404


class NotFound(GatewayError):
    """Something at a destination that the caller's team did not leave there."""

    code = "not_found"
    status = 404


class UnknownEndpoint(GatewayError):
    """A path, method or content type that nobody inspects; it is never passed through."""

    code = "unknown_endpoint"
    status = 404


class Unsupported(GatewayError):
    """The destination's wire cannot carry what is asked for; nothing is dropped."""

    code = "unsupported"


class TooLarge(GatewayError):
    """The request passes a configured bound."""

    code = "too_large"
    status = 413


class Overloaded(GatewayError):
    """A queue is full. The answer carries Retry-After."""

    code = "overloaded"
    status = 503


class RateLimited(GatewayError):
    """A rate is used up. ``retry_after`` is the seconds after which it is not."""

    code = "rate_limited"
    status = 429

    def __init__(self, message: str, *, retry_after: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class BudgetSpent(RateLimited):
    """A budget of this month is used up."""

    code = "budget_spent"


class LimitsUnavailable(GatewayError):
    """What was used cannot be counted."""

    code = "limits_unavailable"
    status = 503


class UpstreamFailed(GatewayError):
    """The destination is down, slow, or does not answer as its wire says."""

    code = "upstream_failed"
    status = 502
