"""How long a store that fails is asked again: Celery's `result_backend_..._retry` settings.

A worker never loses a result because nobody set anything: it tries until the store has taken it. A
`result_backend_max_retries` that somebody set bounds that. Who only reads is told of the first
failure, unless `result_backend_always_retry` says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import uniform
from typing import Any, NamedTuple, TypeVar

from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import OperationalError

Answer = TypeVar("Answer")

#: Seconds before a worker's first new try, and at most, where nobody set them: whoever answers
#: again is to be used within two seconds, connecting included.
FIRST_S, MOST_S = 0.1, 1.0
#: Doublings after which a delay is at its longest, whatever the settings are.
_MOST_DOUBLED = 30


class Patience(NamedTuple):
    """Who is tried again, how often, and after which time."""

    #: `result_backend_always_retry`; None: nobody set it.
    always: bool | None = None
    first_s: float = FIRST_S
    most_s: float = MOST_S
    most_tries: float = math.inf

    def delay_s(self, attempt: int) -> float:
        """Return the seconds before a new try, 1 being the first; without chance."""
        return float(min(self.most_s, self.first_s * 2.0 ** min(attempt - 1, _MOST_DOUBLED)))

    def outlast(
        self,
        call: Callable[[], Answer],
        error: OperationalError,
        clock: Clock,
        deadline_mono: float | None = None,
    ) -> Answer:
        """Call again what has raised `error`, if that is wanted, until it answers.

        Raises: the last OperationalError, after the last try or at the deadline.
        """
        attempt = 0
        while self.always and attempt < self.most_tries:
            attempt += 1
            pause_s = self.delay_s(attempt) * uniform(0.5, 1.0)  # noqa: S311 - jitter
            if deadline_mono is not None and clock.mono() + pause_s > deadline_mono:
                break
            clock.sleep(pause_s)
            try:
                return call()
            except OperationalError as again:
                error = again
        raise error


def patience_of(conf: Any) -> Patience:
    """Return what the settings say; the worker's own times where nobody set any."""

    def of(name: str, default: Any) -> Any:
        return conf[name] if conf.value_set_for(name) and conf[name] is not None else default

    always = of("result_backend_always_retry", None)
    first_ms = of("result_backend_base_sleep_between_retries_ms", FIRST_S * 1000)
    most_ms = of("result_backend_max_sleep_between_retries_ms", MOST_S * 1000)
    return Patience(
        None if always is None else bool(always),
        float(first_ms) / 1000,
        max(float(most_ms), float(first_ms)) / 1000,
        float(of("result_backend_max_retries", math.inf)),
    )
