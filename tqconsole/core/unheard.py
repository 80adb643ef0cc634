"""Rows that run by the events, and that their workers do not have in hand: an end went unheard.

A worker's answer and the event of an end may cross, so one answer makes a row suspect and the
next one without it says so. Suspects and lost ones are asked for by their ids, sooner than
everything is told again. Owned by the UI's thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from tqconsole.core.reconcile import DOUBT_S
from tqconsole.core.store import Store

#: Rows that are asked for by their ids at once.
QUERY_LIMIT = 100


class Unheard:
    """Keeps which rows these are. `ids` is for those that mark them."""

    def __init__(self) -> None:
        self.ids: frozenset[str] = frozenset()
        self._suspect_ids: frozenset[str] = frozenset()

    def queried_ids(self, store: Store) -> tuple[str, ...]:
        """Return the tasks to ask all workers for: what is lost, else suspect."""
        lost_ids = (row.task_id for row in store.running.values() if row.is_lost)
        wanted = dict.fromkeys((*islice(lost_ids, QUERY_LIMIT), *sorted(self._suspect_ids)))
        return tuple(islice(wanted, QUERY_LIMIT))

    def note(
        self,
        store: Store,
        held: Mapping[str, frozenset[str]],
        now_at: float,
        asked_ids: frozenset[str] | None = None,
    ) -> None:
        """Take in what workers have in hand: node name -> ids. Who did not answer says nothing.

        With `asked_ids` they were asked for these only, and say nothing of others.
        """
        absent, untold = set(), set()
        for row in store.running.values():
            is_told = asked_ids is None or row.task_id in asked_ids
            if row.worker not in held or not is_told:
                untold.add(row.task_id)
            elif row.task_id not in held[row.worker] and now_at - row.updated_at > DOUBT_S:
                absent.add(row.task_id)
        self.ids = frozenset((absent & self._suspect_ids) | (untold & self.ids))
        self._suspect_ids = frozenset(absent | (untold & self._suspect_ids))
