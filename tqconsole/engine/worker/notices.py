"""Turns the machine's notices into Celery's signals of the main process, and hands those of tasks
with a `Request` of their own on to it.
"""

from __future__ import annotations

from typing import Any

from tqconsole.engine import signals
from tqconsole.engine.context import Context
from tqconsole.engine.worker.user_request import UserRequests
from tqconsole.engine.worker.values import Entry, Notify


class Notices:
    """Sends a signal only when somebody is connected, since making a request costs something."""

    def __init__(self, app: Any, hostname: str) -> None:
        self._app = app
        self._hostname = hostname
        self._requests = UserRequests(app, hostname, self._request)

    def __call__(self, notice: Notify) -> None:
        """Send the signal of this notice, or tell the task's own Request."""
        match notice.kind:
            case "received" if signals.task_received.receivers and notice.entry:
                signals.task_received.send(
                    sender=self._hostname, request=self._request(notice.entry)
                )
            case "revoked" if signals.task_revoked.receivers and notice.entry:
                signals.task_revoked.send(
                    sender=self._app.tasks[notice.entry.policy.task_name],
                    request=self._request(notice.entry),
                    **notice.details,
                )
            case "rejected" if signals.task_rejected.receivers:
                signals.task_rejected.send(
                    sender=self._hostname, message=notice.delivery.message, exc=None
                )
            case "unknown" if signals.task_unknown.receivers:
                header = notice.details["header"]
                signals.task_unknown.send(
                    sender=self._hostname,
                    message=notice.delivery.message,
                    exc=notice.details["exc"],
                    name=header.task_name,
                    id=header.task_id,
                )
            case "started" | "ended" | "lost":
                self._requests.tell(notice)
            case _:
                return

    def _request(self, entry: Entry) -> Context:
        header, delivery = entry.header, entry.delivery
        return Context(
            id=header.task_id,
            task=header.task_name,
            root_id=header.root_id,
            parent_id=header.parent_id,
            group=header.group_id,
            group_index=header.group_index,
            retries=header.retries,
            argsrepr=header.argsrepr,
            kwargsrepr=header.kwargsrepr,
            origin=header.origin,
            reply_to=header.reply_to,
            correlation_id=header.correlation_id,
            shadow=header.shadow,
            headers=delivery.message.headers,
            properties=delivery.message.properties,
            hostname=self._hostname,
            called_directly=False,
            delivery_info={
                "exchange": delivery.exchange,
                "routing_key": delivery.routing_key,
                "priority": header.priority,
                "redelivered": delivery.is_redelivered,
            },
        )
