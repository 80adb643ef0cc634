"""From the message of one run to the request that its task sees (`self.request`)."""

from __future__ import annotations

from typing import Any

from tqconsole.engine.context import Context
from tqconsole.engine.protocol.header import OWN_HEADERS, user_headers, wire_headers
from tqconsole.engine.protocol.sealed import SealedMessage
from tqconsole.engine.protocol.task import TaskBody
from tqconsole.engine.worker.payload import RunPayload
from tqconsole.engine.worker.user_request import Request

#: `Request` by the name under which Celery's projects import it.
__all__ = ["Request", "request_of"]


def request_of(payload: RunPayload, body: TaskBody) -> Context:
    """Return the request of a run; its `ignore_result` is None where the message leaves that to
    the task.

    Raises: RefusedError for headers that the loop which sent the payload did not check.
    """
    message, embed = payload.message, body.embed
    found = wire_headers(message)
    task_id = found.id
    if type(message) is SealedMessage:
        own_headers: dict[str, Any] = {}
        properties = message.sent_properties()
    else:
        headers = message.headers
        own_headers = {} if OWN_HEADERS.issuperset(headers) else user_headers(headers)
        # Where the run shares the worker's memory, the message must stay as it came.
        properties = dict(message.properties)
    fields: dict[str, Any] = {
        "_children": None,
        "args": body.args,
        "argsrepr": found.argsrepr,
        "called_directly": False,
        "callbacks": embed.callbacks,
        "chain": embed.chain,
        "chord": embed.chord,
        "correlation_id": properties.get("correlation_id"),
        "delivery_info": {
            "exchange": payload.exchange,
            "routing_key": payload.routing_key,
            "priority": payload.priority,
            "redelivered": payload.redelivered,
        },
        "errbacks": embed.errbacks,
        "eta": found.eta,
        "expires": found.expires,
        "group": found.group or None,
        "group_index": found.group_index,
        "headers": own_headers,
        "hostname": payload.hostname,
        "id": task_id,
        "ignore_result": found.ignore_result,
        "kwargs": body.kwargs,
        "kwargsrepr": found.kwargsrepr,
        "origin": found.origin,
        "parent_id": found.parent_id or None,
        "properties": properties,
        "replaced_task_nesting": found.replaced_task_nesting or 0,
        "reply_to": properties.get("reply_to"),
        "retries": found.retries or 0,
        "root_id": found.root_id or task_id,
        "shadow": found.shadow,
        "stamped_headers": found.stamped_headers,
        "stamps": found.stamps or {},
        "task": found.task,
        "timelimit": found.timelimit or (None, None),
    }
    request = Context.__new__(Context)
    # One dict instead of two: a run is made for every task.
    request.__dict__ = fields
    return request
