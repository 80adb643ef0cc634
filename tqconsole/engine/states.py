"""The states of a task, their order, and the sets that readers ask for. Names are Celery's."""

from __future__ import annotations

PENDING = "PENDING"
RECEIVED = "RECEIVED"
STARTED = "STARTED"
SUCCESS = "SUCCESS"
FAILURE = "FAILURE"
REVOKED = "REVOKED"
REJECTED = "REJECTED"
RETRY = "RETRY"
IGNORED = "IGNORED"

#: From the strongest to the weakest; a custom state ranks where None stands.
PRECEDENCE: tuple[str | None, ...] = (
    SUCCESS,
    FAILURE,
    None,
    REVOKED,
    STARTED,
    RECEIVED,
    REJECTED,
    RETRY,
    PENDING,
)

READY_STATES = frozenset({SUCCESS, FAILURE, REVOKED})
UNREADY_STATES = frozenset({PENDING, RECEIVED, STARTED, REJECTED, RETRY})
EXCEPTION_STATES = frozenset({RETRY, FAILURE, REVOKED})
PROPAGATE_STATES = frozenset({FAILURE, REVOKED})
ALL_STATES = frozenset({PENDING, RECEIVED, STARTED, SUCCESS, FAILURE, RETRY, REVOKED})

_CUSTOM_RANK = PRECEDENCE.index(None)
_RANKS = {name: rank for rank, name in enumerate(PRECEDENCE) if name is not None}


def precedence(state: str | None) -> int:
    """Return the rank of `state`, 0 the strongest; custom ones after FAILURE."""
    return _RANKS.get(state or PENDING, _CUSTOM_RANK)
