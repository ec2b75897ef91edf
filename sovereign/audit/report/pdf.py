"""The page as a PDF, by WeasyPrint, which may fetch nothing."""

from __future__ import annotations

import hashlib
from typing import Any

from sovereign.errors import AuditError, MissingExtra

__all__ = ["pdf"]


def pdf(html: str) -> bytes:
    """A tagged PDF (PDF/UA) of a page that needs no other file; the same for the same page.

    Raises :class:`MissingExtra`, or :class:`AuditError` where a library of the system is missing.
    """
    try:
        import weasyprint
        from weasyprint.urls import FatalURLFetchingError, URLFetcher
    except ImportError:
        raise MissingExtra("WeasyPrint, which makes PDF files,", "report") from None
    except OSError as e:
        raise AuditError(
            f"WeasyPrint cannot load a library: {e}",
            hint="Debian: apt install libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0",
        ) from None

    class Nothing(URLFetcher):  # type: ignore[misc]
        def fetch(self, url: str, headers: Any = None) -> Any:
            raise FatalURLFetchingError("a report fetches nothing")

    identifier = hashlib.sha256(html.encode()).hexdigest().encode()
    try:
        made: bytes = weasyprint.HTML(string=html, url_fetcher=Nothing()).write_pdf(
            pdf_variant="pdf/ua-1", pdf_identifier=identifier
        )
    except FatalURLFetchingError as e:
        raise AuditError(str(e)) from None
    return made
