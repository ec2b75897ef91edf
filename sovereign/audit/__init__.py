"""What happened, provably: an append-only log that holds no text and that anybody can check.

``record`` makes records, ``log`` makes them durable, ``tree`` and ``note`` are the mathematics, and
``verify`` is one file that an auditor can read and run alone.
"""

from __future__ import annotations

__all__: list[str] = []
