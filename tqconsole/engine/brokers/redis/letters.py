"""Dead letters: a list `<queue>.dead` of the envelopes, newest left, with the reason in a header.

They are kombu's envelopes, so any Celery client can consume the list as a queue.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from tqconsole.engine.brokers.redis.envelope import delivery_of, raw_delivery, written
from tqconsole.engine.brokers.redis.keys import Keys
from tqconsole.engine.brokers.redis.lua import UNBURY
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import DeadLetter, Publication
from tqconsole.engine.redis_server.link import Link

_CAUSE = "tq-dead"
#: Letters read at once when one is looked for.
_PAGE = 500


class Cause(msgspec.Struct, frozen=True):
    """Why a message is dead."""

    reason: str
    detail: str
    worker_name: str


def letter_of(envelope: bytes, queue: str, cause: Cause, died_at: float) -> bytes:
    """Return the envelope of a dead letter."""
    try:
        delivery = delivery_of(envelope, "", queue)
    except RefusedError:
        delivery = raw_delivery(envelope, "", queue)
    about = {
        "id": uuid.uuid4().hex,
        "reason": str(cause.reason),
        "detail": cause.detail,
        "worker": cause.worker_name,
        "at": died_at,
        "queue": queue,
    }
    dead = _with_headers(delivery.message, {**delivery.message.headers, _CAUSE: about})
    return written(Publication(dead, delivery.routing_key, delivery.exchange))


class Letters:
    """Reads and moves dead letters."""

    def __init__(self, link: Link, keys: Keys) -> None:
        self._link = link
        self._keys = keys

    def listed(self, queue_name: str | None, limit: int) -> list[DeadLetter]:
        """Return letters, newest first, of one queue or all."""
        names = [queue_name] if queue_name is not None else self._queues()
        found: list[DeadLetter] = []
        for name in names:
            page = self._link.run("LRANGE", self._keys.dead(name), 0, limit - 1) if limit else []
            found += [_read(it, name)[0] for it in page]
        if queue_name is None:
            found.sort(key=lambda letter: letter.died_at, reverse=True)
        return found[:limit]

    def replay(self, letter_ids: Sequence[str]) -> int:
        """Put letters back into their queues, deaths at 0; return how many were found."""
        return self._take(letter_ids, is_replay=True)

    def drop(self, letter_ids: Sequence[str]) -> int:
        """Delete letters; return how many were found."""
        return self._take(letter_ids, is_replay=False)

    def _take(self, letter_ids: Sequence[str], *, is_replay: bool) -> int:
        wanted = set(letter_ids)
        taken_count = 0
        for name, raw in list(self._matching(wanted)):
            words: list[Any] = [self._keys.dead(name), self._keys.dead_bytes, name, raw]
            if is_replay:
                _, publication = _read(raw, name)
                priority = publication.message.properties.get("priority")
                words += [self._keys.list_for(name, priority), written(publication)]
            else:
                words.append("")
            taken_count += self._link.script(UNBURY, words)
        return taken_count

    def _matching(self, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
        for name in self._queues():
            at = 0
            while wanted:
                page = self._link.run("LRANGE", self._keys.dead(name), at, at + _PAGE - 1)
                for raw in page:
                    letter_id = _read(raw, name)[0].letter_id
                    if letter_id in wanted:
                        wanted.discard(letter_id)
                        yield name, raw
                if len(page) < _PAGE:
                    break
                at += _PAGE

    def _queues(self) -> list[str]:
        found = self._link.run("HKEYS", self._keys.dead_bytes)
        return sorted(name.decode(errors="replace") for name in found)


def _read(raw: bytes, queue: str) -> tuple[DeadLetter, Publication]:
    """Return a letter and what it was before, whoever wrote it."""
    try:
        delivery = delivery_of(raw, "", queue)
    except RefusedError:
        delivery = raw_delivery(raw, "", queue)
    headers = dict(delivery.message.headers)
    about = headers.pop(_CAUSE, None)
    about = about if isinstance(about, dict) else {}
    died_at = about.get("at")
    message = _with_headers(delivery.message, headers)
    letter = DeadLetter(
        letter_id=_text(about, "id"),
        message=message,
        queue=queue,
        reason=_text(about, "reason"),
        detail=_text(about, "detail"),
        worker_name=_text(about, "worker"),
        died_at=float(died_at) if isinstance(died_at, int | float) else 0.0,
    )
    return letter, Publication(message, delivery.routing_key, delivery.exchange)


def _with_headers(message: Message, headers: dict[str, Any]) -> Message:
    return Message(
        message.body, message.content_type, message.content_encoding, headers, message.properties
    )


def _text(about: dict[str, Any], key: str) -> str:
    value = about.get(key)
    return value if isinstance(value, str) else ""
