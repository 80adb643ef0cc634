"""From the message of one run to the request that its task sees (`self.request`)."""

from __future__ import annotations

from typing import Any

from tqconsole.engine.context import Context
from tqconsole.engine.protocol.header import OWN_HEADERS, user_headers, wire_headers
from tqconsole.engine.protocol.sealed import SealedMessage
from tqconsole.engine.protocol.task import NO_EMBED, TaskBody
from tqconsole.engine.worker.payload import RunPayload
from tqconsole.engine.worker.user_request import Request

#: `Request` by the name under which Celery's projects import it.
__all__ = ["Request", "request_of"]

#: The fields of a run's request, in the order in which they are shown. A copy of it, filled in,
#: costs a third less than a new map: one is made for each task.
_BLANK: dict[str, Any] = {
    "_children": None,
    "args": None,
    "argsrepr": None,
    "called_directly": False,
    "callbacks": None,
    "chain": None,
    "chord": None,
    "correlation_id": None,
    "delivery_info": None,
    "errbacks": None,
    "eta": None,
    "expires": None,
    "group": None,
    "group_index": None,
    "headers": None,
    "hostname": None,
    "id": None,
    "ignore_result": None,
    "kwargs": None,
    "kwargsrepr": None,
    "origin": None,
    "parent_id": None,
    "properties": None,
    "replaced_task_nesting": 0,
    "reply_to": None,
    "retries": 0,
    "root_id": None,
    "shadow": None,
    "stamped_headers": None,
    "stamps": None,
    "task": None,
    "timelimit": (None, None),
}


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
    fields = _BLANK.copy()
    fields["args"], fields["kwargs"] = body.args, body.kwargs
    fields["argsrepr"], fields["kwargsrepr"] = found.argsrepr, found.kwargsrepr
    if embed is not NO_EMBED:
        fields["callbacks"], fields["errbacks"] = embed.callbacks, embed.errbacks
        fields["chain"], fields["chord"] = embed.chain, embed.chord
    fields["correlation_id"] = properties.get("correlation_id")
    fields["reply_to"] = properties.get("reply_to")
    fields["properties"], fields["headers"] = properties, own_headers
    fields["delivery_info"] = {
        "exchange": payload.exchange,
        "routing_key": payload.routing_key,
        "priority": payload.priority,
        "redelivered": payload.redelivered,
    }
    fields["eta"], fields["expires"] = found.eta, found.expires
    fields["group"], fields["group_index"] = found.group or None, found.group_index
    fields["hostname"], fields["origin"] = payload.hostname, found.origin
    fields["id"], fields["task"] = task_id, found.task
    fields["ignore_result"] = found.ignore_result
    fields["parent_id"], fields["root_id"] = found.parent_id or None, found.root_id or task_id
    fields["replaced_task_nesting"] = found.replaced_task_nesting or 0
    fields["retries"], fields["shadow"] = found.retries or 0, found.shadow
    fields["stamped_headers"], fields["stamps"] = found.stamped_headers, found.stamps or {}
    if found.timelimit:
        fields["timelimit"] = found.timelimit
    request = Context.__new__(Context)
    # One dict instead of two: a run is made for every task.
    request.__dict__ = fields
    return request
