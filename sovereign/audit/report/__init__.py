"""What a log shows about a period, for somebody who trusts nobody: page, PDF, JSON, one archive.

``gather`` reads and verifies, ``tally`` counts (alone, so that an outsider can count again),
``document`` puts counts beside a framework's controls, ``page`` and ``charts`` draw it, ``archive``
signs it together with its proofs, and ``check`` opens that archive without this toolkit.
"""

from __future__ import annotations

__all__: list[str] = []
