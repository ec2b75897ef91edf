"""Asks a Hub, or a mirror of one, what a commit holds; and says which hosts may be asked at all.

A branch or tag can move, so it is resolved once, and from then on only the commit counts. Nothing
that is answered is believed where it can be computed: see :mod:`sovereign.weights.transfer`.
``HF_ENDPOINT`` names a mirror, ``HF_TOKEN`` opens gates.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NoReturn

from sovereign.errors import MissingExtra, NotAdmitted, NotVerified, SovereignError, WeightsError
from sovereign.weights.admit import admissible, check_path
from sovereign.weights.rules import Rules
from sovereign.weights.transfer import LONGEST_WAIT, TRANSIENT, Transfer, Wanted, retry_after

__all__ = ["Hub", "Plan", "connect"]

REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,127}")
COMMIT = re.compile(r"[0-9a-f]{40}")
GUARDS = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_SHARED_BLOBS": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
}
"""Read when huggingface_hub is imported, so they are set before that."""
TRIES = 4
TIMEOUT_S = 60.0  # without a byte


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be fetched, and what was left out because the store would not admit it.

    ``gate`` is None, ``"auto"`` or ``"manual"``: the Hub's word for how access is given.
    """

    repo: str
    commit: str
    licence: str
    gate: str | None
    files: tuple[Wanted, ...]
    left_out: tuple[str, ...]

    @property
    def papers(self) -> tuple[Wanted, ...]:
        """All but the weights: what is fetched and looked at first."""
        return tuple(f for f in self.files if not f.path.endswith(".safetensors"))

    @property
    def weights(self) -> tuple[Wanted, ...]:
        """The files of tensors."""
        return tuple(f for f in self.files if f.path.endswith(".safetensors"))


class Hub:
    """One endpoint. Use :func:`connect`."""

    def __init__(self, library: Any, endpoint: str, session: Any) -> None:
        self._library = library
        self._endpoint = endpoint
        self._session = session

    def plan(self, repo: str, revision: str = "main") -> Plan:
        """Resolve ``revision`` to a commit and ask for its list of files; fetch none.

        Raises :class:`WeightsError`; :class:`NotVerified` if the answers contradict each other.
        """
        if not REPO.fullmatch(repo):
            raise WeightsError(f"{repo!r} is no Hub repository", hint="it looks like OWNER/NAME")
        if not REVISION.fullmatch(revision) or ".." in revision:
            raise WeightsError(
                f"{revision!r} is no revision", hint="a commit of 40 hex digits, a tag or a branch"
            )
        api = self._library.HfApi(endpoint=self._endpoint)
        info = self._ask(repo, revision, lambda: api.model_info(repo, revision=revision))
        commit = info.sha
        if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
            raise NotVerified(f"{repo}: the Hub names no commit for {revision}")
        if COMMIT.fullmatch(revision) and commit != revision:
            raise NotVerified(f"{repo}: the Hub answered with another commit than {revision}")
        tree = self._ask(
            repo, commit, lambda: list(api.list_repo_tree(repo, revision=commit, recursive=True))
        )
        wanted, left_out = self._sort(tree)
        if not any(f.path.endswith(".safetensors") for f in wanted):
            pickles = [p for p in left_out if p.endswith((".bin", ".pt", ".pth"))]
            named = f"{pickles[0]}: " if pickles else ""
            raise NotAdmitted(
                f"{named}{repo} holds no .safetensors file at this commit",
                hint="take a commit that has the weights as safetensors, or weights convert",
            )
        gate = info.gated if info.gated in ("auto", "manual") else None
        return Plan(repo, commit, _licence(info), gate, tuple(wanted), tuple(sorted(left_out)))

    def transfer(self, plan: Plan, parts: Any, step: Callable[[int], None]) -> Transfer:
        """What fetches ``plan``'s files, with the token that the environment names."""

        def url_of(path: str) -> str:
            url: str = self._library.hf_hub_url(
                plan.repo, path, revision=plan.commit, endpoint=self._endpoint
            )
            return url

        headers = self._library.utils.build_hf_headers()
        return Transfer(self._session, parts, url_of, headers=headers, step=step)

    def _sort(self, tree: list[Any]) -> tuple[list[Wanted], list[str]]:
        wanted: list[Wanted] = []
        left_out: list[str] = []
        for item in tree:
            if not isinstance(item, self._library.RepoFile):
                continue
            if not _plain(item.path) or not admissible(item.path):
                left_out.append(item.path)
                continue
            sha256 = item.lfs.sha256 if item.lfs else None
            wanted.append(Wanted(item.path, item.size, item.blob_id, sha256))
        if len({f.path for f in wanted}) != len(wanted):
            raise NotVerified("the Hub lists a file twice")
        return wanted, left_out

    def _ask(self, repo: str, revision: str, call: Callable[[], Any]) -> Any:
        for tries in range(1, TRIES + 1):
            try:
                return call()
            except SovereignError:
                raise
            except Exception as e:  # noqa: BLE001 - told apart, and raised again in our words
                answer = getattr(e, "response", None)
                status = getattr(answer, "status_code", None)
                wait = retry_after(answer.headers.get("Retry-After")) if answer else None
                wait = 0.25 * 2**tries if wait is None else wait
                if status not in TRANSIENT or tries == TRIES or wait > LONGEST_WAIT:
                    self._explain(e, repo, revision)
                time.sleep(wait)
        raise AssertionError

    def _explain(self, error: Exception, repo: str, revision: str) -> NoReturn:
        """What went wrong, in our words: the client's messages hold URLs and request ids."""
        name = type(error).__name__
        status = getattr(getattr(error, "response", None), "status_code", None)
        known = {
            "GatedRepoError": ("is gated", "accept its terms on the Hub, then set HF_TOKEN"),
            "RepositoryNotFoundError": (
                "does not exist, or is private",
                "check the name; HF_TOKEN",
            ),
            "RevisionNotFoundError": (
                f"has no revision {revision}",
                "if it was there before, it was withdrawn: ask why before you use what you have",
            ),
            "OfflineModeIsEnabled": ("cannot be pulled offline", "unset HF_HUB_OFFLINE"),
        }
        if name in known:
            what, hint = known[name]
            raise WeightsError(f"{repo}: {what}", hint=hint) from None
        if status == 404:
            raise WeightsError(f"{repo}: is not there", hint="check the name") from None
        what = f"the Hub answered {status}" if status else f"the Hub did not answer ({name})"
        raise WeightsError(
            f"{repo}: {what}", hint=f"is {self._endpoint} reachable from here?"
        ) from None


@contextmanager
def connect(rules: Rules, *, endpoint: str | None = None) -> Iterator[Hub]:
    """The Hub at ``endpoint`` or ``HF_ENDPOINT``, through huggingface_hub's own client, which asks
    no host but the endpoint's and those of ``rules``. Raises :class:`MissingExtra`."""
    library = _library()
    endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    library.set_client_factory(lambda: _session(library, endpoint, rules.hosts))
    try:
        yield Hub(library, endpoint, library.get_session())
    finally:
        library.set_client_factory(library.utils._http.default_client_factory)


def _session(library: Any, endpoint: str, hosts: tuple[str, ...]) -> Any:
    import httpx2

    home = httpx2.URL(endpoint)

    def pin(request: Any) -> None:
        """Called for each request, so also for each redirect."""
        url = request.url
        if (url.scheme, url.host, url.port) == (home.scheme, home.host, home.port):
            return
        if url.scheme != home.scheme and url.scheme != "https":
            raise NotAdmitted(f"{url.host}: the Hub redirects to it without TLS")
        if not any(fnmatchcase(url.host, pattern) for pattern in hosts):
            raise NotAdmitted(
                f"{url.host}: the Hub redirects to it, and it is not among [weights] hosts",
                hint="if it belongs to your mirror, add it there",
            )

    return httpx2.Client(
        event_hooks={"request": [pin, library.utils._http.hf_request_event_hook]},
        follow_redirects=True,
        timeout=httpx2.Timeout(TIMEOUT_S, connect=20.0),
    )


def _licence(info: Any) -> str:
    """The card's licence; one without an SPDX id goes by the name that the card gives it."""
    card = getattr(info, "card_data", None)
    licence = getattr(card, "license", None) if card else None
    if licence == "other":
        licence = getattr(card, "license_name", None) or licence
    return licence if isinstance(licence, str) and licence else "unknown"


def _plain(path: str) -> bool:
    try:
        check_path(path)
    except NotAdmitted:
        return False
    return True


def _library() -> Any:
    for name, value in GUARDS.items():
        os.environ.setdefault(name, value)
    try:
        import huggingface_hub
        import huggingface_hub.hf_api
        import huggingface_hub.utils
    except ImportError:
        raise MissingExtra("huggingface_hub", "weights") from None
    return huggingface_hub
