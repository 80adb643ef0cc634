"""From the message of one run to the request that its task sees (`self.request`)."""

from __future__ import annotations

from typing import Any

from tqconsole.engine.context import Context
from tqconsole.engine.protocol.task import OWN_HEADERS, TaskBody, user_headers
from tqconsole.engine.worker.payload import RunPayload


def request_of(payload: RunPayload, body: TaskBody, *, ignore_result: bool) -> Context:
    """Return the request of a run. `ignore_result` is the task's own word, used where the message
    has none.

    The headers were checked by the loop that sent the payload.
    """
    message, embed = payload.message, body.embed
    headers, properties = message.headers, message.properties
    take = headers.get
    ignored = take("ignore_result")
    fields: dict[str, Any] = {
        "_children": None,
        "args": body.args,
        "argsrepr": take("argsrepr"),
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
        "eta": take("eta"),
        "expires": take("expires"),
        "group": take("group") or None,
        "group_index": take("group_index"),
        "headers": {} if OWN_HEADERS.issuperset(headers) else user_headers(headers),
        "hostname": payload.hostname,
        "id": take("id"),
        "ignore_result": ignore_result if ignored is None else ignored,
        "kwargs": body.kwargs,
        "kwargsrepr": take("kwargsrepr"),
        "origin": take("origin"),
        "parent_id": take("parent_id") or None,
        # Where the run shares the worker's memory, the message must stay as it came.
        "properties": dict(properties),
        "replaced_task_nesting": take("replaced_task_nesting") or 0,
        "reply_to": properties.get("reply_to"),
        "retries": take("retries") or 0,
        "root_id": take("root_id") or take("id"),
        "shadow": take("shadow"),
        "stamped_headers": take("stamped_headers"),
        "stamps": take("stamps") or {},
        "task": take("task"),
        "timelimit": take("timelimit") or (None, None),
    }
    request = Context.__new__(Context)
    # One dict instead of two: a run is made for every task.
    request.__dict__ = fields
    return request
