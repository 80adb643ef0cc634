"""Rows that run by the events, and that their workers do not have in hand: an end went unheard.

A worker's answer and the event of an end may cross, so one answer makes a row suspect and the
next one without it says so. Owned by the UI's thread.
"""

from __future__ import annotations

from collections.abc import Mapping

from tqconsole.core.reconcile import DOUBT_S
from tqconsole.core.store import Store


class Unheard:
    """Keeps which rows these are. `ids` is for those that mark them."""

    def __init__(self) -> None:
        self.ids: frozenset[str] = frozenset()
        self._suspect_ids: frozenset[str] = frozenset()

    def note(self, store: Store, held: Mapping[str, frozenset[str]], now_at: float) -> None:
        """Take in what workers have in hand: node name -> ids. Who did not answer says nothing."""
        absent, untold = set(), set()
        for row in store.running.values():
            if row.worker not in held:
                untold.add(row.task_id)
            elif row.task_id not in held[row.worker] and now_at - row.updated_at > DOUBT_S:
                absent.add(row.task_id)
        self.ids = frozenset((absent & self._suspect_ids) | (untold & self.ids))
        self._suspect_ids = frozenset(absent | (untold & self._suspect_ids))
