"""The part of a chord comes back; the last one sends the body (wire.md §4.3).

It runs where the part ran, before its message is settled: whatever dies on the way, the part comes
again, finds that it holds the chord, and goes on. Where broker and store are one place, the body is
published in the step that closes the chord, so it is published once. Elsewhere it may be published
twice, and then carries two marks, of which the store lets one begin (`ONCE_HEADER`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from tqconsole.engine import states
from tqconsole.engine.backends.base import Joiner
from tqconsole.engine.canvas.plan import listed
from tqconsole.engine.canvas.signature import Signature, signature
from tqconsole.engine.context import Context
from tqconsole.engine.exceptions import ChordError, EngineError, Ignore, OperationalError
from tqconsole.engine.middleware.base import RunHub
from tqconsole.engine.middleware.fallout import Fallout, ReturnedPart, fail_call, failure_writes
from tqconsole.engine.middleware.links import fail_links
from tqconsole.engine.protocol.chord import (
    ONCE_HEADER,
    ChordPart,
    decode_part,
    encode_part,
    group_key,
    shaped,
)
from tqconsole.engine.protocol.identity import new_id
from tqconsole.engine.protocol.limits import DEFAULT_LIMITS
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.payload import decoded_payload
from tqconsole.engine.protocol.transfer import ChordEnd, Publication, ResultWrite

logger = logging.getLogger(__name__)

#: Seconds between two tries to reach a store or broker that fails: the first, and the longest.
_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 2.0


def return_part(hub: RunHub, part: ReturnedPart, writes: Sequence[ResultWrite] = ()) -> None:
    """Store the records, count the part, and send or fail the body if that was the last.

    Idempotent. Raises: OperationalError, and then it is to be done again; EncodeError.
    """
    joiner = hub.backend.joiner
    if joiner is None:
        hub.backend.store(writes)
        logger.error(
            "Task %s is part of a chord, and %s cannot count parts: its body will not run",
            part.task_id,
            hub.backend.url,
        )
        return
    packed = encode_part(part.task_id, part.state, part.value, hub.conf.result_serializer)
    score = "+inf" if part.group_index is None else str(part.group_index)
    row = ChordPart(part.group_id, part.task_id, score, packed)
    if joiner.add_part(row, writes, hub.chord_expires_s):
        _complete(hub, joiner, part)


def until_done(hub: RunHub, step: Callable[[], None]) -> None:
    """Do an idempotent step until store and broker take it: a part must not get lost."""
    pause_s = _PAUSE_S
    while True:
        try:
            return step()
        except OperationalError as error:
            if pause_s == _PAUSE_S:
                logger.warning("A chord waits until this answers: %s", error)
        hub.wall_clock.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)


def _complete(hub: RunHub, joiner: Joiner, part: ReturnedPart) -> None:
    body: Signature = signature(dict(part.chord), app=hub)
    body.options.setdefault("task_id", f"{part.group_id}.body")
    try:
        publications = _body_messages(hub, joiner, part, body)
    except OperationalError:
        raise
    except ChordError as error:
        logger.error("Chord %s failed: %s", part.group_id, error)  # noqa: TRY400 - a task's error
        _end(hub, joiner, part, fail_body(hub, part, body, error))
    except Exception as error:
        # A value that cannot be read, a body that cannot be built: the chord's end all the same.
        logger.exception("The body of chord %s cannot be sent", part.group_id)
        failure = ChordError(f"Callback error: {error!r}")
        _end(hub, joiner, part, fail_body(hub, part, body, failure))
    else:
        _end(hub, joiner, part, _marked(publications, group_key(part.group_id, ".b")))


def _end(
    hub: RunHub, joiner: Joiner, part: ReturnedPart, publications: Sequence[Publication]
) -> None:
    """Send what the chord ends in, and close it."""
    if not hub.publish_end(publications, ChordEnd(part.group_id, part.task_id)):
        if publications:
            hub.publish(publications)
        joiner.close_chord(part.group_id)


def _body_messages(
    hub: RunHub, joiner: Joiner, part: ReturnedPart, body: Signature
) -> list[Publication]:
    values = _values(hub, joiner, part.group_id)
    options = {"parent_id": part.task_id}
    if not body.options.get("root_id"):
        options["root_id"] = part.root_id
    return hub.build_canvas(body, (values,), **options)[0]


def _values(hub: RunHub, joiner: Joiner, group_id: str) -> list[Any]:
    """Return what the parts came to. Raises: ChordError for the first that failed."""
    content_type, accept = hub.result_content_type, hub.result_accept
    values: dict[str, Any] = {}
    order: list[Any] = []
    for packed in joiner.parts(group_id):
        task_id, state, value = decode_part(packed, content_type, accept)
        if state in states.PROPAGATE_STATES:
            raise ChordError(f"Dependency {task_id} raised {value!r}") from _cause(value)
        values[task_id] = value
        order.append(value)
    stored = hub.backend.get(group_key(group_id))
    if stored is None:
        return order
    record = decoded_payload(Message(stored, content_type), accept, DEFAULT_LIMITS)
    return shaped(record["result"], values)


def _cause(value: Any) -> BaseException | None:
    return value if isinstance(value, BaseException) else None


def fail_body(
    hub: RunHub, part: ReturnedPart, body: Signature, error: ChordError
) -> list[Publication]:
    """Record that the body failed, and fail what would have come after it; return the messages of
    its errbacks.
    """
    fallout = Fallout(part.root_id)
    publications: list[Publication] = []
    for call in fail_call(hub, fallout, body, error):
        request = Context(
            id=call.id,
            task=call.task,
            root_id=call.root_id or part.root_id,
            parent_id=part.task_id,
            errbacks=listed(call.options.get("link_error")),
            called_directly=False,
        )
        publications += fail_links(hub, request, error, "")
    hub.backend.store(failure_writes(hub, fallout.calls, error, ""))
    for outer in fallout.parts:
        return_part(hub, outer)
    return _marked(publications, group_key(part.group_id, ".e"))


def _marked(publications: Sequence[Publication], key: str) -> list[Publication]:
    """Give each message its mark: published again, it has another one."""
    for number, publication in enumerate(publications):
        publication.message.headers[ONCE_HEADER] = [f"{key}{number or ''}", new_id()]
    return list(publications)


def refuse_twin(hub: RunHub, request: Context) -> None:
    """Raise Ignore for a message with user headers whose twin has begun."""
    once = (request.headers or {}).get(ONCE_HEADER)
    if not isinstance(once, list | tuple) or len(once) != 2:
        return
    joiner = hub.backend.joiner
    key, mark = map(str, once)
    try:
        may_begin = joiner is None or joiner.may_begin(key, mark, hub.chord_expires_s)
    except EngineError as error:
        # Rather twice than never.
        logger.warning("Whether task %s has begun is not known: %s", request.id, error)
        return
    if not may_begin:
        logger.info("Task %s[%s] was sent twice", request.task, request.id)
        raise Ignore
