"""New ids: random UUIDs as text, made without the cost of a UUID object."""

from __future__ import annotations

import os

_VARIANTS = "89ab"


def new_id() -> str:
    """Return a random UUID (version 4) as Celery writes ids. Safe after a fork."""
    digits = os.urandom(16).hex()
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-"
        f"{_VARIANTS[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"
    )
