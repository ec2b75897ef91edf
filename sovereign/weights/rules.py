"""What a team lets in: licences, repositories, hosts that may be asked, and what was revoked.

An empty list of licences or repositories means that any will do; the lock says which it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from sovereign.errors import NotAdmitted, NotVerified
from sovereign.weights.lock import Entry

__all__ = ["Rules"]


@dataclass(frozen=True, slots=True)
class Rules:
    """``[weights]`` of the configuration. ``repositories`` and ``hosts`` may hold ``*``;
    ``revoked`` holds commits (40 hex digits) and digests (64)."""

    licences: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    revoked: tuple[str, ...] = ()

    def check_repository(self, repo: str) -> None:
        """Raises :class:`NotAdmitted` unless ``repo`` is among those that may be pulled."""
        if self.repositories and not any(fnmatchcase(repo, p) for p in self.repositories):
            raise NotAdmitted(
                f"{repo}: is not among [weights] repositories",
                hint="have it reviewed, then add it there",
            )

    def check_licence(self, licence: str, what: str) -> None:
        """Raises :class:`NotAdmitted` unless ``licence`` is permitted; case does not count."""
        if self.licences and licence.lower() not in {known.lower() for known in self.licences}:
            raise NotAdmitted(
                f"{what}: its licence is {licence}, which is not among [weights] licences",
                hint=f"permitted are: {', '.join(self.licences)}",
            )

    def check_commit(self, commit: str, what: str) -> None:
        """Raises :class:`NotAdmitted` if ``commit`` was revoked."""
        if commit in self.revoked:
            raise NotAdmitted(
                f"{what}: commit {commit} was revoked", hint="see [weights] revoked; take another"
            )

    def check_standing(self, entry: Entry) -> None:
        """Raises :class:`NotVerified` if ``entry`` was revoked after it came in."""
        for mark in (entry.commit, entry.digest, entry.source_sha256):
            if mark is not None and mark in self.revoked:
                raise NotVerified(
                    f"{entry.name}: {mark} was revoked", hint="see [weights] revoked; take another"
                )
