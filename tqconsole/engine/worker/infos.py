"""What the worker says of a task in its hands: the request info of wire.md §6.3.

The only place of the parent, beside protocol 1, where a body is decoded: `inspect` asks for real
arguments. A body that cannot be decoded shows the reprs that came in the headers.
"""

from __future__ import annotations

from typing import Any

from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.header import TaskHeader, read_header
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS
from tqconsole.engine.protocol.task import decode_body
from tqconsole.engine.protocol.transfer import Delivery, Parked
from tqconsole.engine.worker.admission import display_name, iso
from tqconsole.engine.worker.values import Entry

#: The priority of waiting tasks in Celery's timer; monitors expect the key.
_TIMER_PRIORITY = 6


class Infos:
    """Makes request infos for one worker."""

    def __init__(self, hostname: str, accept: frozenset[str]) -> None:
        self._hostname = hostname
        self._accept = accept

    def of_entry(self, entry: Entry) -> dict[str, Any]:
        """Return the info of a task in hand."""
        info = self._of_delivery(entry.delivery, entry.header, display_name(entry))
        info["time_start"] = entry.started_at
        info["acknowledged"] = entry.is_acked
        info["worker_pid"] = entry.pid
        return info

    def waiting(self, entry: Entry, due_at: float | None) -> dict[str, Any]:
        """Return the item of `inspect scheduled` for a task held here."""
        request = self.of_entry(entry)
        return {"eta": iso(due_at), "priority": _TIMER_PRIORITY, "request": request}

    def parked(self, parked: Parked) -> dict[str, Any] | None:
        """Return the same for a task that waits in the broker; None when it is no task."""
        try:
            header = read_header(parked.delivery.message)
        except RefusedError:
            return None
        request = self._of_delivery(parked.delivery, header, header.shadow or header.task_name)
        return {"eta": iso(parked.due_at), "priority": _TIMER_PRIORITY, "request": request}

    def _of_delivery(self, delivery: Delivery, header: TaskHeader, name: str) -> dict[str, Any]:
        args, kwargs = self._arguments(delivery, header)
        return {
            "id": header.task_id,
            "name": name,
            "args": args,
            "kwargs": kwargs,
            "type": header.task_name,
            "hostname": self._hostname,
            "time_start": None,
            "acknowledged": False,
            "delivery_info": {
                "exchange": delivery.exchange,
                "routing_key": delivery.routing_key or delivery.queue,
                "priority": header.priority or 0,
                "redelivered": delivery.is_redelivered,
            },
            "worker_pid": None,
        }

    def _arguments(self, delivery: Delivery, header: TaskHeader) -> tuple[Any, Any]:
        try:
            body = decode_body(delivery.message, self._accept, DEFAULT_LIMITS)
        except RefusedError:
            return header.argsrepr, header.kwargsrepr
        return body.args, body.kwargs
