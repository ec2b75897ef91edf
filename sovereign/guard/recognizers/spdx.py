"""Names of software licences: beside "license" in a manifest they are no one's licence number."""

from __future__ import annotations

import re

__all__ = ["LICENCE"]

LICENCE = re.compile(
    r"(?:apache|artistic|0?bsd|bsl|blueoak|boost|busl|cc0|cc-by|cddl|[alm]?gpl|ecl|epl|eupl|isc|mit|mpl|ms-pl|ncsa|"
    r"odbl|ofl|openssl|osl|postgresql|psf|python|ruby|sspl|unlicen[sc]e|upl|vim|wtfpl|x11|zlib|zpl)"
    r"(?:-[0-9a-z.+]+)*\+?",
    re.IGNORECASE,
)
"""An SPDX identifier, of those that are in use."""
