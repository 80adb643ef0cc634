"""What is told of calls that were sent: signals, the event `task-sent`, the trail of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from tqconsole.engine.app.queues import Address
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.task import Embed
from tqconsole.engine.protocol.transfer import Publication
from tqconsole.engine.result import AsyncResult
from tqconsole.engine.signals import after_task_publish, task_sent

logger = logging.getLogger(__name__)


class TellingApp(Protocol):
    """What telling needs of the App."""

    def send_event(self, event_type: str, **fields: Any) -> None:
        """Tell whoever listens."""
        ...


class Sending(msgspec.Struct, frozen=True, gc=False):
    """A call that is ready to be published, and what it was made of."""

    publication: Publication
    args: Any
    kwargs: Any
    embed: Embed
    address: Address
    result: AsyncResult
    #: The task whose run sends it, if that is to know what it has sent.
    parent: Any
    #: As `Publisher` takes it.
    policy: dict[str, Any]


class Teller:
    """Tells of the calls of one app. Thread-safe."""

    def __init__(self, app: TellingApp) -> None:
        self._app = app

    def tell(self, sendings: Sequence[Sending], sent_at: float | None) -> None:
        """Tell of calls that are out; `sent_at` is for the event, None sends none."""
        is_heard = sent_at is not None or after_task_publish.receivers or task_sent.receivers
        for sending in sendings:
            if sending.parent is not None:
                sending.parent.add_trail(sending.result)
            if is_heard:
                _tell_receivers(sending)
                if sent_at is not None:
                    self._tell_sent(sending.publication.message, sending.address, sent_at)

    def _tell_sent(self, message: Message, address: Address, sent_at: float) -> None:
        try:
            fields = _sent_fields(message, address)
            self._app.send_event("task-sent", timestamp=sent_at, **fields)
        except OperationalError as error:
            # The call is out: an error now would make its caller send it again.
            logger.warning("task-sent of %s was not told: %s", message.headers["id"], error)


def _tell_receivers(sending: Sending) -> None:
    headers, address = sending.publication.message.headers, sending.address
    if after_task_publish.receivers:
        after_task_publish.send(
            sender=sending.result.task_name,
            body=(sending.args, sending.kwargs, msgspec.structs.asdict(sending.embed)),
            headers=headers,
            exchange=address.exchange,
            routing_key=address.routing_key,
        )
    if task_sent.receivers:
        task_sent.send(
            sender=sending.result.task_name,
            task_id=sending.result.id,
            task=sending.result.task_name,
            args=sending.args,
            kwargs=sending.kwargs,
            eta=headers["eta"],
            taskset=headers["group"],
        )


def _sent_fields(message: Message, address: Address) -> dict[str, Any]:
    headers = message.headers
    return {
        "uuid": headers["id"],
        "root_id": headers["root_id"],
        "parent_id": headers["parent_id"],
        "name": headers["shadow"] or headers["task"],
        "args": headers["argsrepr"],
        "kwargs": headers["kwargsrepr"],
        "retries": headers["retries"],
        "eta": headers["eta"],
        "expires": headers["expires"],
        "queue": address.queue.name if address.queue else None,
        "exchange": address.exchange,
        "routing_key": address.routing_key,
    }
