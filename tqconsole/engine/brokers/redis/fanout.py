"""Events, commands and replies: published on kombu's channels, or pushed to a reply's own list.

Topic and fanout exchanges are PUBLISH and PSUBSCRIBE. A reply goes through a direct exchange: a
list per reader, found by its binding, which dies with its reader.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import hiredis
import msgspec

from tqconsole.engine.brokers.base import Subscription
from tqconsole.engine.brokers.redis import lua
from tqconsole.engine.brokers.redis.envelope import read, written
from tqconsole.engine.brokers.redis.keys import Keys
from tqconsole.engine.brokers.redis.routing import BINDINGS_TTL_S
from tqconsole.engine.clock import Clock
from tqconsole.engine.embedded.topics import does_any_match
from tqconsole.engine.exceptions import EngineError
from tqconsole.engine.protocol.transfer import Broadcasted, ExchangeSpec, Publication, QueueSpec
from tqconsole.engine.redis_server.link import Command, Link

#: Seconds a reply and its reader's record outlive the reader, and between two words of the reader.
REPLY_TTL_S, _REBIND_S = 50, 15.0
#: Seconds for which a message that nobody heard, and an answer of nobody, say that nobody listens.
_UNHEARD_S, _ASKED_S = 2.5, 20.0
#: Replies read at once.
_PAGE = 1_000
#: Seconds that the answers to subscribing and to leaving may take.
_SUBSCRIBE_S, _LEAVE_S = 10.0, 0.5


def is_published(exchange: ExchangeSpec) -> bool:
    """Whether an exchange's messages go over a channel."""
    return exchange.kind in ("fanout", "topic")


class Speaker:
    """Sends, and knows for a moment that nobody listens.

    A worker asks every two seconds whether somebody does, and sends its heartbeats as often: while
    those reach nobody, the server need not be asked again each time.
    """

    def __init__(self, link: Link, keys: Keys, clock: Clock) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock
        self._unheard_mono: dict[str, float] = {}
        self._asked_mono: dict[str, float] = {}

    def listens(self) -> None:
        """Somebody here begins to listen: what was known of nobody is over."""
        self._unheard_mono.clear()

    def broadcast(self, exchange: ExchangeSpec, what: Sequence[Publication]) -> int:
        """Send to whoever listens now; return how many heard the last one."""
        if not what:
            return 0
        if not is_published(exchange):
            return [_reply(self._link, self._keys, exchange, it) for it in what][-1]
        heard = self._link.ask(
            [
                (
                    "PUBLISH",
                    self._keys.channel(exchange.name, it.routing_key),
                    _written(it, exchange),
                )
                for it in what
            ]
        )
        if any(heard):
            self._unheard_mono.pop(exchange.name, None)
        else:
            self._unheard_mono[exchange.name] = self._clock.mono()
        return int(heard[-1])

    def listener_count(self, exchange: ExchangeSpec, routing_key: str) -> int:
        """Return how many would hear that key.

        For channels an empty message is published: its readers, kombu's too, let it go by, and
        only the answer to PUBLISH counts those who listen by a pattern.
        """
        if not is_published(exchange):
            bindings = self._link.run("SMEMBERS", self._keys.binding(exchange.name))
            return sum(self._keys.binding_of(it)[0] == routing_key for it in bindings)
        channel, now_mono = self._keys.channel(exchange.name, routing_key), self._clock.mono()
        unheard_s = now_mono - self._unheard_mono.get(exchange.name, float("-inf"))
        asked_s = now_mono - self._asked_mono.get(channel, float("-inf"))
        if unheard_s < _UNHEARD_S and asked_s < _ASKED_S:
            return 0
        count = int(self._link.run("PUBLISH", channel, b""))
        self._asked_mono[channel] = now_mono if count == 0 else float("-inf")
        return count


def _reply(link: Link, keys: Keys, exchange: ExchangeSpec, publication: Publication) -> int:
    envelope, key = _written(publication, exchange), publication.routing_key
    # The usual reader's queue is named after its key: one step, whoever else is bound.
    queue_name = f"{key}.{exchange.name}"
    words = [keys.binding(exchange.name), keys.member(exchange, key, queue_name)]
    words += [keys.lists(queue_name)[0], str(REPLY_TTL_S)]
    if link.script(lua.REPLY, [*words, envelope]) == 1:
        return 1
    bindings = link.run("SMEMBERS", keys.binding(exchange.name))
    commands: list[Command] = []
    for bound, _, queue in map(keys.binding_of, bindings):
        if bound == key and queue:
            name = keys.lists(queue)[0]
            commands += [("LPUSH", name, envelope), ("EXPIRE", name, REPLY_TTL_S)]
    if commands:
        link.ask(commands)
    return len(commands) // 2


def _written(publication: Publication, exchange: ExchangeSpec) -> bytes:
    if publication.exchange != exchange.name:
        publication = msgspec.structs.replace(publication, exchange=exchange.name)
    return written(publication)


class ChannelFeed(Subscription):
    """A listener of channels. Those that share a connection take in what comes for each other."""

    def __init__(
        self,
        link: Link,
        keys: Keys,
        queue: QueueSpec,
        patterns: Sequence[str],
        clock: Clock,
        feeds: list[ChannelFeed] | None = None,
    ) -> None:
        """`feeds` are those on the connection already."""
        self._link = link
        self._feeds = [] if feeds is None else feeds
        self._feeds.append(self)
        self._keys = keys
        self._clock = clock
        self._exchange = queue.exchange
        self._patterns = tuple(patterns)
        self._globs = channel_globs(keys, queue.exchange, patterns)
        self._expressions = [_expression(glob) for glob in self._globs]
        self._waiting: list[Broadcasted] = []
        self._is_closed = False
        self._is_host = feeds is None
        if self._is_host:
            link.connect()
        link.send([("PSUBSCRIBE", *self._globs)])
        self._confirm(b"psubscribe", _SUBSCRIBE_S)

    def receive(self, timeout_s: float) -> list[Broadcasted]:
        """See `Subscription.receive`. Raises: OperationalError when the connection broke."""
        if self._is_closed:
            return []
        if not self._waiting:
            self._share(self._link.receive(timeout_s))
        came, self._waiting = self._waiting, []
        return came

    def fileno(self) -> int | None:
        """See `Subscription.fileno`: the connection's."""
        is_there = not self._is_closed and self._link.is_open
        return self._link.descriptor().fileno() if is_there else None

    @property
    def missed_count(self) -> int:
        """See `Subscription.missed_count`: the server does not tell."""
        return 0

    def close(self) -> None:
        """See `Subscription.close`: the server no longer counts us when this returns."""
        if not self._is_closed:
            self._is_closed = True
            self._feeds.remove(self)
            with contextlib.suppress(EngineError):
                self._link.send([("PUNSUBSCRIBE", *self._globs)])
                self._confirm(b"punsubscribe", _LEAVE_S)
            self._waiting = []
            if self._is_host:
                self._link.close()

    def beside(self, queue: QueueSpec, patterns: Sequence[str]) -> ChannelFeed:
        """See `Subscription.beside`."""
        return ChannelFeed(self._link, self._keys, queue, patterns, self._clock, self._feeds)

    def _confirm(self, kind: bytes, timeout_s: float) -> None:
        """Wait until the server has done it for every pattern: what is sent after this is heard, or
        is not.
        """
        left = len(self._globs)
        deadline_mono = self._clock.mono() + timeout_s
        while left > 0 and (left_s := deadline_mono - self._clock.mono()) > 0:
            answers = self._link.receive(left_s)
            left -= sum(_kind(it) == kind for it in answers)
            refused = next((it for it in answers if isinstance(it, hiredis.ReplyError)), None)
            if refused is not None:
                raise self._link.refusal(refused)
            self._share(answers)

    def _share(self, answers: Sequence[Any]) -> None:
        for feed in self._feeds:
            feed.take_in(answers)

    def take_in(self, answers: Sequence[Any]) -> None:
        """Take what is ours of what the connection brought."""
        for answer in answers:
            if _kind(answer) != b"pmessage":
                continue
            _, glob, channel, payload = answer
            if glob.decode() not in self._globs:
                continue
            if payload and self._is_first(glob.decode(), channel.decode(errors="replace")):
                name = channel.decode(errors="replace")
                key = self._keys.routing_key_of(name, self._exchange.name)
                if self._is_wanted(key):
                    self._waiting.append(Broadcasted(key, read(payload)))

    def _is_first(self, glob: str, channel: str) -> bool:
        """What fits several of our patterns comes once for each: the first counts."""
        if len(self._globs) == 1:
            return True
        for known, expression in zip(self._globs, self._expressions, strict=True):
            if expression.fullmatch(channel):
                return known == glob
        return False

    def _is_wanted(self, routing_key: str) -> bool:
        kind = self._exchange.kind
        return kind == "fanout" or does_any_match(kind, self._patterns, routing_key)


class ReplyFeed(Subscription):
    """The reader of a list of its own."""

    def __init__(
        self,
        main: Link,
        keys: Keys,
        queue: QueueSpec,
        spares: tuple[Callable[[], Link], Callable[[Link], None]],
        clock: Clock,
    ) -> None:
        """`spares` lend a connection, for who waits, and take it back."""
        self._main = main
        self._lend, self._release = spares
        self._lent: Link | None = None
        self._keys = keys
        self._clock = clock
        self._exchange = queue.exchange.name
        self._list = keys.lists(queue.name)[0]
        self._member = keys.member(queue.exchange, queue.routing_key, queue.name)
        self._is_closed = False
        self._bound_mono = float("-inf")
        self._bind()

    def receive(self, timeout_s: float) -> list[Broadcasted]:
        """See `Subscription.receive`."""
        if self._is_closed:
            return []
        if self._clock.mono() - self._bound_mono > _REBIND_S:
            self._bind()
        found = self._main.run("RPOP", self._list, _PAGE) or []
        if not found and timeout_s > 0:
            if self._lent is None:
                self._lent = self._lend()
            # The server's wait must end before the link's patience does.
            waited = self._lent.run("BRPOP", self._list, f"{min(timeout_s, 5.0):.3f}")
            if waited:
                found = [waited[1], *(self._main.run("RPOP", self._list, _PAGE) or [])]
        return [self._read(envelope) for envelope in found]

    def fileno(self) -> int | None:
        """See `Subscription.fileno`: only `receive` can tell."""
        return None

    @property
    def missed_count(self) -> int:
        """See `Subscription.missed_count`: nothing goes by."""
        return 0

    def close(self) -> None:
        """See `Subscription.close`."""
        if self._is_closed:
            return
        self._is_closed = True
        keys = self._keys
        try:
            self._main.ask(
                [
                    ("SREM", keys.binding(self._exchange), self._member),
                    ("ZREM", keys.reply_bindings, self._member),
                    ("DEL", self._list),
                ]
            )
        except EngineError:
            # They die by themselves.
            if self._lent is not None:
                self._lent.close()
        if self._lent is not None:
            self._release(self._lent)

    def _bind(self) -> None:
        keys, self._bound_mono = self._keys, self._clock.mono()
        words = [keys.binding(self._exchange), keys.deadlines, self._exchange, keys.reply_bindings]
        self._main.script(lua.BIND_REPLY, [*words, self._member, REPLY_TTL_S, BINDINGS_TTL_S])

    def _read(self, envelope: bytes) -> Broadcasted:
        return Broadcasted(self._keys.binding_of(self._member.encode())[0], read(envelope))


def _kind(answer: object) -> object:
    return answer[0] if isinstance(answer, list) and answer else None


def channel_globs(keys: Keys, exchange: ExchangeSpec, patterns: Sequence[str]) -> list[str]:
    """Return the channel patterns that let all through that the topic patterns want, and more."""
    if exchange.kind == "fanout" or not keys.has_patterns:
        plain = _literal(keys.channel(exchange.name, ""))
        # Whatever the key, as a fanout exchange has it; nobody of ours publishes with one.
        return [plain, f"{plain}/*"] if keys.has_patterns else [plain]
    found: list[str] = []
    for pattern in patterns:
        variants = [pattern]
        # `#` may stand for no word at all.
        if pattern.endswith(".#"):
            variants.append(pattern[:-2])
        if pattern.startswith("#."):
            variants.append(pattern[2:])
        found += [keys.channel(exchange.name, _literal(it).replace("#", "*")) for it in variants]
    return list(dict.fromkeys(found))


def _literal(text: str) -> str:
    return "".join(f"\\{it}" if it in "?[]\\^" else it for it in text)


def _expression(glob: str) -> re.Pattern[str]:
    plain = glob.replace("\\", "")
    return re.compile(".*".join(map(re.escape, plain.split("*"))), re.DOTALL)
