"""`rpc://`: results as messages to whoever asked, over RabbitMQ, as Celery sends them.

Nothing is stored: a result exists in the process that sent the call, once it has come, and nowhere
else. Each caller's address is a queue that must be there before the call is sent.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from tqconsole.engine import states
from tqconsole.engine.amqp_server.address import locate
from tqconsole.engine.amqp_server.content import message_of
from tqconsole.engine.amqp_server.declaring import Declarer
from tqconsole.engine.amqp_server.inbound import Delivered
from tqconsole.engine.amqp_server.link import CONSUME, Link
from tqconsole.engine.amqp_server.publisher import Publisher, result_posting
from tqconsole.engine.amqp_server.wire import Channel
from tqconsole.engine.backends.base import Backend, Watch
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import NotSupportedError, OperationalError, RefusedError
from tqconsole.engine.protocol.transfer import QueueSpec, ResultWrite

#: What begins the URLs of this store: the rest is the broker's.
PREFIX = "rpc+"
#: Seconds after which a caller's queue goes that nobody reads, as Celery has it.
_EXPIRES_S = 86_400.0
#: Seconds that one look at the connection waits; others wait for who looks.
_LOOK_S = 0.5
#: Results kept that nobody has fetched: so many, and so many bytes of them.
_MOST_RECORDS, _MOST_BYTES = 50_000, 64 * 1024 * 1024
#: A record says its state in its first words, whatever wrote it.
_STATE_WITHIN = 300


class RpcBackend(Backend):
    """The results that came to this process. `url` is the broker's, behind `rpc+`."""

    is_readable_by_others = False
    is_sent_to_callers = True
    can_keep_keys = False

    def __init__(
        self, url: str, options: Mapping[str, Any] | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        given = dict(options or {})
        expires_s = given.pop("result_expires", _EXPIRES_S)
        self._expires_s: float | None = float(expires_s) if expires_s else None
        self._delivery_mode = 2 if given.pop("result_persistent", False) else 1
        self._address = locate(url.removeprefix(PREFIX), given)
        self._clock = clock
        self._link = Link(self._address, clock)
        self._declarer = Declarer(self._link)
        self._publisher = Publisher(self._link)
        self._channel: Channel | None = None
        self._addresses: dict[str, None] = {}
        self._consumed: set[str] = set()
        self._changed = threading.Condition()
        self._version = 0
        self._looking = threading.Lock()
        self._records: OrderedDict[str, tuple[bool, bytes]] = OrderedDict()
        self._record_bytes = 0

    @property
    def url(self) -> str:
        """See `Backend.url`: where the broker is, nobody needs to be told twice."""
        return "rpc://"

    def rides_on(self, place: str) -> bool:
        """See `Backend.rides_on`: the broker sends messages anyway."""
        return place == self._address.place and self._delivery_mode == 1

    def store(self, writes: Sequence[ResultWrite]) -> None:
        """See `Backend.store`: to who asked; what nobody asked for is known here only."""
        postings = [result_posting(it, self._delivery_mode) for it in writes if it.reply_to]
        if postings:
            self._publisher.publish(postings)
        for write in writes:
            if not write.reply_to:
                self._keep(write.task_id, write.record, is_success=write.state == states.SUCCESS)

    def expect(self, reply_to: str) -> None:
        """See `Backend.expect`: make the caller's queue, and read it."""
        if reply_to and (reply_to not in self._addresses or not self._is_reading()):
            with self._link.lock:
                self._addresses[reply_to] = None
                self._read()

    def fetch(self, task_ids: Sequence[str]) -> dict[str, bytes]:
        """See `Backend.fetch`: those that have come."""
        self._look(0.0)
        with self._changed:
            found = {task_id: self._records.get(task_id) for task_id in task_ids}
        return {task_id: record[1] for task_id, record in found.items() if record is not None}

    def forget(self, task_ids: Sequence[str]) -> None:
        """See `Backend.forget`."""
        with self._changed:
            for task_id in task_ids:
                _, record = self._records.pop(task_id, (False, b""))
                self._record_bytes -= len(record)

    def watch(self, task_ids: Sequence[str], reply_to: str) -> Watch:
        """See `Backend.watch`: every result that comes wakes it."""
        del task_ids
        self.expect(reply_to)
        return _RpcWatch(self)

    def put(self, key: str, value: bytes, expires_s: float | None) -> NoReturn:
        """See `Backend.put`."""
        self._refuse_keys()

    def get(self, key: str) -> NoReturn:
        """See `Backend.get`."""
        self._refuse_keys()

    def delete(self, keys: Sequence[str]) -> None:
        """See `Backend.delete`."""
        if keys:
            self._refuse_keys()

    def close(self) -> None:
        """See `Backend.close`: what was on its way is lost with its queue."""
        self._link.close()

    # --- waiting ------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """Rises with every result that comes."""
        return self._version

    def wait_beyond(self, version: int, timeout_s: float) -> None:
        """Sleep until more has come than at `version`, or `timeout_s`."""
        if self._version != version:
            return
        if self._addresses and self._looking.acquire(blocking=False):
            try:
                self._look_and_keep(min(timeout_s, _LOOK_S))
            finally:
                self._looking.release()
            return
        # Somebody else looks, for all; or nothing can come but by our own hand.
        with self._changed:
            self._changed.wait_for(lambda: self._version != version, min(timeout_s, _LOOK_S))

    def _look(self, timeout_s: float) -> None:
        if self._addresses and self._looking.acquire(blocking=False):
            try:
                self._look_and_keep(timeout_s)
            finally:
                self._looking.release()

    def _look_and_keep(self, timeout_s: float) -> None:
        link = self._link
        with link.lock:
            if not self._is_reading():
                self._read()
            try:
                link.pump(timeout_s)
            except OperationalError:
                # The queue went with the connection: what is still to come finds a new one.
                self._read()
            if self._channel is None:
                return
            delivered, self._channel.delivered = self._channel.delivered, []
        for it in delivered:
            self._take(it)

    def _take(self, delivered: Delivered) -> None:
        try:
            message = message_of(delivered)
        except RefusedError:
            return
        task_id = message.properties.get("correlation_id")
        if isinstance(task_id, str):
            is_success = states.SUCCESS.encode() in message.body[:_STATE_WITHIN]
            self._keep(task_id, message.body, is_success=is_success)

    def _keep(self, task_id: str, record: bytes, *, is_success: bool) -> None:
        with self._changed:
            was_success, old = self._records.get(task_id, (False, b""))
            if was_success:
                return
            self._records[task_id] = (is_success, record)
            self._record_bytes += len(record) - len(old)
            while len(self._records) > _MOST_RECORDS or self._record_bytes > _MOST_BYTES:
                if len(self._records) == 1:
                    break
                _, (_, oldest) = self._records.popitem(last=False)
                self._record_bytes -= len(oldest)
            self._version += 1
            self._changed.notify_all()

    # --- the queues ---------------------------------------------------------------------------

    def _is_reading(self) -> bool:
        channel = self._channel
        return self._link.is_open and channel is not None and channel.connection is not None

    def _read(self) -> None:
        """Consume all our addresses on the channel that there is now. Raises: OperationalError."""
        try:
            with self._link.channel(CONSUME) as channel:
                known = self._consumed if channel is self._channel else set()
            for reply_to in self._addresses:
                if reply_to not in known:
                    self._declarer.queue(self._queue(reply_to))
                    with self._link.channel(CONSUME) as channel:
                        channel.basic_consume(
                            reply_to, no_ack=True, consumer_tag=reply_to, nowait=True
                        )
            self._channel = channel
            self._consumed = set(self._addresses)
        except OperationalError:
            self._channel = None
            raise

    def _queue(self, reply_to: str) -> QueueSpec:
        return QueueSpec(reply_to, is_auto_delete=True, expires_s=self._expires_s)

    def _refuse_keys(self) -> NoReturn:
        raise NotSupportedError(
            "rpc:// keeps nothing: groups and chords need redis:// or another store as"
            " result_backend"
        )


class _RpcWatch(Watch):
    def __init__(self, backend: RpcBackend) -> None:
        self._backend = backend
        self._seen = backend.version

    def wait(self, timeout_s: float) -> None:
        """See `Watch.wait`."""
        self._backend.wait_beyond(self._seen, timeout_s)
        self._seen = self._backend.version

    def close(self) -> None:
        """See `Watch.close`: the address stays for the caller's next call."""
