"""Runs that had ended when it turned out that the server had taken their messages back.

They cannot be settled any more, and come again, to this worker or to another. When one comes here,
it is settled instead of run a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tqconsole.engine.brokers.amqp.held import Held
from tqconsole.engine.clock import Clock
from tqconsole.engine.protocol.transfer import Settlement, Verdict

#: Seconds for which a message that was taken back may come again to be known.
_REMEMBERED_S = 60.0


class Ended:
    """Remembers attempts of tasks: the next one bears the same id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: What was settled and lost in one exchange, until that has succeeded.
        self._lost: dict[str, tuple[str, int]] = {}
        self._until_mono: dict[tuple[str, int], float] = {}

    def lose(self, lost: Mapping[str, Held], settled: Sequence[Settlement]) -> None:
        """These are gone, and some of them were about to be acknowledged."""
        for settlement in settled:
            held = lost.get(settlement.tag)
            run = _run_of(held) if held is not None else None
            if run is not None and settlement.verdict is Verdict.ACK:
                self._lost[settlement.tag] = run

    def conclude(self, settled: Sequence[Settlement]) -> None:
        """What these runs leave behind is published: they need no other run."""
        for settlement in settled if self._lost else ():
            run = self._lost.pop(settlement.tag, None)
            if run is not None:
                self._until_mono[run] = self._clock.mono() + _REMEMBERED_S

    def knows(self, held: Held) -> bool:
        """Whether it came before and its run has ended here."""
        if not self._until_mono or not held.delivered.is_redelivered:
            return False
        now_mono = self._clock.mono()
        self._until_mono = {it: until for it, until in self._until_mono.items() if until > now_mono}
        run = _run_of(held)
        return run is not None and self._until_mono.pop(run, None) is not None


def _run_of(held: Held) -> tuple[str, int] | None:
    headers: Mapping[str, Any] = held.message.headers if held.message else {}
    task_id, retries = headers.get("id"), headers.get("retries") or 0
    if isinstance(task_id, str) and isinstance(retries, int):
        return task_id, retries
    return None
