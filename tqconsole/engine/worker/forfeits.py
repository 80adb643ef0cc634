"""What becomes of deliveries that the broker has taken from us, because the connection was lost.

What has not started must not: somebody else has it by now. What runs goes on, and when its message
comes back to this very worker it is recognised: it settles the run that is, or was, here instead of
starting another one. Pure: part of the state machine.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from tqconsole.engine.protocol.header import TaskHeader
from tqconsole.engine.protocol.transfer import Delivery
from tqconsole.engine.worker.hand import Hand
from tqconsole.engine.worker.values import Entry

#: Runs that are remembered until their message comes back, at most; others may have it for good.
_MOST_REMEMBERED = 10_000


class Forfeits:
    """Remembers what runs, or ended, without its message."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        # An attempt of a task: the next one bears the same id.
        self._runs: OrderedDict[tuple[str, int], Entry] = OrderedDict()

    def lose(self, tags: Sequence[str], in_flight: Sequence[Entry]) -> None:
        """These deliveries are no longer ours."""
        gone = set(tags)
        self._hand.remove(lambda entry: entry.delivery.tag in gone)
        for entry in in_flight:
            entry.is_forfeited = entry.delivery.tag in gone
        for entry in self._hand.running.values():
            if entry.delivery.tag in gone:
                self._remember(entry)

    def recognise(self, delivery: Delivery, header: TaskHeader) -> bool:
        """Return True for a message whose run is here, or was: it needs no other."""
        entry = self._runs.pop((header.task_id, header.retries), None)
        if entry is None or entry.delivery.tag not in self._hand.forfeited:
            # The run that was here had not begun, and was given up.
            return False
        ended = self._hand.forfeited.pop(entry.delivery.tag)
        if ended is None:
            entry.delivery = delivery
        else:
            # Its record may still be on its way to the store.
            self._hand.settle_behind(msgspec.structs.replace(ended, tag=delivery.tag))
        return True

    def _remember(self, entry: Entry) -> None:
        self._hand.forfeited[entry.delivery.tag] = None
        self._runs[entry.header.task_id, entry.header.retries] = entry
        if len(self._runs) > _MOST_REMEMBERED:
            _, oldest = self._runs.popitem(last=False)
            self._hand.forfeited.pop(oldest.delivery.tag, None)
