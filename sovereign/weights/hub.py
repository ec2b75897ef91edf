"""Fetches one commit of a Hub repository, and believes none of its hashes: each is computed here.

A branch or tag can move; a commit cannot, so only all 40 hex digits of one are taken. The client
library checks sizes alone; here every file is held against the SHA-256 (LFS) or the git blob id
that the Hub lists for that commit. ``HF_ENDPOINT`` names a mirror, ``HF_TOKEN`` opens gates.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from sovereign.errors import MissingExtra, NotAdmitted, NotVerified, WeightsError
from sovereign.weights.admit import admissible, check_path
from sovereign.weights.staging import hash_file

__all__ = ["Plan", "Wanted", "fetch", "plan"]

REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
COMMIT = re.compile(r"[0-9a-f]{40}")
GUARDS = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_SHARED_BLOBS": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
}
"""Read when huggingface_hub is imported, so they are set before that."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of the commit as the Hub lists it. ``sha256`` is there for LFS files only."""

    path: str
    size: int
    blob: str
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be fetched, and what was left out because the store would not admit it."""

    repo: str
    commit: str
    licence: str
    files: tuple[Wanted, ...]
    left_out: tuple[str, ...]


def plan(repo: str, commit: str) -> Plan:
    """Ask for the list of files, and fetch none. Raises :class:`WeightsError`."""
    if not REPO.fullmatch(repo):
        raise WeightsError(f"{repo!r} is no Hub repository", hint="it looks like OWNER/NAME")
    if not COMMIT.fullmatch(commit):
        raise WeightsError(
            f"{repo}: the revision must be a commit of 40 hex digits",
            hint="branches and tags move; copy the commit from the repository's history",
        )
    hub = _client()
    api = hub.HfApi()
    try:
        info = api.model_info(repo, revision=commit)
        tree = list(api.list_repo_tree(repo, revision=commit, recursive=True))
    except Exception as e:  # noqa: BLE001 - told apart below, and raised again
        _explain(e, repo, commit)
    if info.sha != commit:
        raise NotVerified(f"{repo}: the Hub answered with another commit than {commit}")
    card = getattr(info, "card_data", None)
    wanted: list[Wanted] = []
    left_out: list[str] = []
    for item in tree:
        if not isinstance(item, hub.RepoFile):
            continue
        if not _plain(item.path) or not admissible(item.path):
            left_out.append(item.path)
            continue
        sha256 = item.lfs.sha256 if item.lfs else None
        wanted.append(Wanted(item.path, item.size, item.blob_id, sha256))
    if not any(f.path.endswith(".safetensors") for f in wanted):
        pickles = [p for p in left_out if p.endswith((".bin", ".pt", ".pth"))]
        named = f"{pickles[0]}: " if pickles else ""
        raise NotAdmitted(
            f"{named}{repo} holds no .safetensors file at this commit",
            hint="look for a commit or a repository that has the weights as safetensors",
        )
    licence = getattr(card, "license", None) if card else None
    licence = licence if isinstance(licence, str) and licence else "unknown"
    return Plan(repo, commit, licence, tuple(wanted), tuple(sorted(left_out)))


def fetch(plan: Plan, target: Path, step: Callable[[int], None]) -> None:
    """Download the plan's files into ``target``. Raises :class:`NotVerified` naming the first that
    is not what the Hub listed."""
    hub = _client()
    for file in plan.files:
        try:
            hub.hf_hub_download(
                plan.repo,
                file.path,
                revision=plan.commit,
                local_dir=target,
                tqdm_class=_bar(step),
            )
        except Exception as e:  # noqa: BLE001 - told apart, and raised again
            _explain(e, plan.repo, plan.commit)
        _check(target / file.path, file, plan.repo)
    shutil.rmtree(target / ".cache", ignore_errors=True)


def _check(path: Path, file: Wanted, repo: str) -> None:
    size, sha256 = hash_file(path)
    if size != file.size:
        what = f"is {size} bytes long, the Hub lists {file.size}"
    elif file.sha256 is not None and sha256 != file.sha256:
        what = "has another SHA-256 than the Hub lists"
    elif file.sha256 is None and _git_blob(path, size) != file.blob:
        what = "has another git blob id than the Hub lists"
    else:
        return
    raise NotVerified(
        f"{repo}: {file.path}: {what}",
        hint="pull again; if it persists, the mirror or the connection changes files",
    )


def _git_blob(path: Path, size: int) -> str:
    """Git's name for a file; SHA-1 is what git uses, ours is computed beside it."""
    digest = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _plain(path: str) -> bool:
    try:
        check_path(path)
    except NotAdmitted:
        return False
    return True


def _client() -> Any:
    for name, value in GUARDS.items():
        os.environ.setdefault(name, value)
    try:
        import huggingface_hub
        import huggingface_hub.hf_api
    except ImportError:
        raise MissingExtra("huggingface_hub", "tune") from None
    return huggingface_hub


def _explain(error: Exception, repo: str, commit: str) -> NoReturn:
    """What went wrong, in our words: the client's messages hold URLs and request ids."""
    name = type(error).__name__
    status = getattr(getattr(error, "response", None), "status_code", None)
    known = {
        "GatedRepoError": ("is gated", "accept its terms on the Hub, then set HF_TOKEN"),
        "RepositoryNotFoundError": ("does not exist, or is private", "check the name; HF_TOKEN"),
        "RevisionNotFoundError": (f"has no commit {commit}", "copy it from its history"),
        "RemoteEntryNotFoundError": ("lists a file that is not there", "try again"),
        "OfflineModeIsEnabled": ("cannot be pulled offline", "unset HF_HUB_OFFLINE"),
    }
    if name in known:
        what, hint = known[name]
        raise WeightsError(f"{repo}: {what}", hint=hint) from None
    if isinstance(error, OSError) and error.errno is not None and status is None:
        raise WeightsError(f"{repo}: {error.strerror or name}") from None
    what = f"the Hub answered {status}" if status else f"the Hub did not answer ({name})"
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    raise WeightsError(f"{repo}: {what}", hint=f"is {endpoint} reachable from here?") from None


def _bar(step: Callable[[int], None]) -> type:
    """What huggingface_hub takes for a progress bar: it calls ``update`` with bytes."""

    class Bar:
        def __init__(self, *args: object, **kwargs: Any) -> None:
            self.n = kwargs.get("initial", 0)
            self.total = kwargs.get("total")

        def update(self, n: float = 1) -> None:
            self.n += n
            step(int(n))

        def set_description(self, *args: object, **kwargs: object) -> None: ...

        def reset(self, total: int | None = None) -> None:
            self.n, self.total = 0, total

        def refresh(self, *args: object, **kwargs: object) -> None: ...

        def close(self) -> None: ...

        def __enter__(self) -> Bar:
            return self

        def __exit__(
            self,
            kind: type[BaseException] | None,
            value: BaseException | None,
            trace: TracebackType | None,
        ) -> None: ...

    return Bar
