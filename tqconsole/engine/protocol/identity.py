"""New ids: random UUIDs as text, made without the cost of a UUID object."""

from __future__ import annotations

import os
import random

#: Any digit -> the digit of the same last two bits that says which kind of UUID it is.
_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def new_id() -> str:
    """Return a random UUID (version 4) as Celery writes ids. Safe after a fork."""
    return _as_uuid(os.urandom(16).hex())


def derived_id(text: str) -> str:
    """Return an id that is the same for the same text, in every process."""
    # Seeded with text it is a hash (SHA-512), and `random` is there already.
    return _as_uuid(random.Random(text).randbytes(16).hex())  # noqa: S311 - no secret


def _as_uuid(digits: str) -> str:
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-"
        f"{_VARIANTS[digits[16]]}{digits[17:20]}-{digits[20:]}"
    )
