"""What was acknowledged before it ran, noted in the result store: for brokers that forget it then.

Redis and SQLite keep a record of their own. Where the broker keeps none, this worker writes down
what it hands over before the acknowledgement leaves, all of it under one key of its name, and the
next worker of that name reports what of it has no end in the store. In the loop's thread.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

import msgspec

from tqconsole.engine import states
from tqconsole.engine.backends.base import Backend
from tqconsole.engine.exceptions import BackendError, EngineError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.result import decode_record
from tqconsole.engine.protocol.transfer import Delivery

logger = logging.getLogger(__name__)

#: Seconds for which a worker's name may be away and its losses are still reported.
_KEPT_S = 7 * 86400.0
#: A body is kept for its error callbacks; a larger one is not worth its writing each time.
_MOST_BODY_BYTES = 64 * 1024


class ResultReading(Protocol):
    """How this app reads records."""

    result_accept: frozenset[str]
    result_content_type: str


class _Note(msgspec.Struct, array_like=True):
    task_id: str
    queue: str
    exchange: str
    routing_key: str
    message: Message


_notes = msgspec.msgpack.Decoder(list[_Note])


class HandedNotes:
    """The notes of one worker, by its name."""

    def __init__(self, backend: Backend, hostname: str, reading: ResultReading) -> None:
        self._backend = backend
        self._key = f"tq.handed.{hostname}"
        self._reading = reading
        self._is_failing = False

    def write(self, handed: Sequence[tuple[str, Delivery]]) -> None:
        """Note these, task id and delivery each, and nothing else. Never raises: a store that is
        away costs the report, not the runs.
        """
        notes = [
            _Note(task_id, it.queue, it.exchange, it.routing_key, _kept(it.message))
            for task_id, it in handed
        ]
        try:
            self._backend.put(self._key, msgspec.msgpack.encode(notes, enc_hook=repr), _KEPT_S)
        except EngineError as error:
            if not self._is_failing:
                logger.warning("What is handed over is not noted: %s", error)
            self._is_failing = True
        else:
            self._is_failing = False

    def lost(self) -> list[Delivery]:
        """Return what an earlier worker of this name has handed over and nobody has ended.

        Raises: OperationalError.
        """
        data = self._backend.get(self._key)
        if data is None:
            return []
        try:
            notes = _notes.decode(data)
        except msgspec.DecodeError as error:
            logger.warning("The notes of what was handed over cannot be read: %s", error)
            return []
        records = self._backend.fetch([note.task_id for note in notes]) if notes else {}
        return [
            Delivery("", note.message, note.queue, note.exchange, note.routing_key)
            for note in notes
            if not self._has_ended(note.task_id, records.get(note.task_id))
        ]

    def _has_ended(self, task_id: str, record: bytes | None) -> bool:
        if record is None:
            return False
        reading = self._reading
        try:
            found = decode_record(record, reading.result_content_type, reading.result_accept)
        except BackendError as error:
            logger.warning("The record of task %s cannot be read: %s", task_id, error)
            return True
        return found.state in states.READY_STATES


def _kept(message: Message) -> Message:
    body = bytes(message.body) if len(message.body) <= _MOST_BODY_BYTES else b""
    return Message(
        body,
        message.content_type,
        message.content_encoding,
        dict(message.headers),
        dict(message.properties),
    )
