"""Waiting without asking: the server tells when one of the lists we looked at has changed.

`CLIENT TRACKING` remembers which keys this connection has read and sends one push when one of them
changes, also when it did not exist. So the bell reads the length of every list (it is armed then),
and rings at the first push, or when a length says that something is there already. Nothing is
popped and nothing polled. The channels of fanout queues are listened to on the same connection.
"""

from __future__ import annotations

import contextlib
import selectors
from collections.abc import Sequence
from typing import Any

import hiredis

from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import EngineError, ImproperlyConfigured, OperationalError
from tqconsole.engine.redis_server.address import Address
from tqconsole.engine.redis_server.link import Command, Link


class Bell:
    """A connection that listens for changes of some lists. Used by one thread."""

    def __init__(self, address: Address, clock: Clock = SYSTEM_CLOCK) -> None:
        self._link = Link(address, clock)
        # Its descriptor stays the same when the connection is made anew.
        self._selector: selectors.BaseSelector | None = None
        self._is_tracking = False
        self._is_possible = True
        self._awaited_count = 0
        self._is_armed = False
        self._globs: tuple[str, ...] = ()
        self._heard: list[tuple[bytes, bytes]] = []

    @property
    def is_armed(self) -> bool:
        """Whether nothing has rung since it was armed."""
        return self._is_armed

    @property
    def is_quiet(self) -> bool:
        """Whether all lists were seen empty, and none has changed since."""
        return self._is_armed and self._awaited_count == 0

    def fileno(self) -> int | None:
        """Return a descriptor that is readable when there is something to look at; None where the
        server cannot tell.
        """
        self._listen()
        if not self._is_possible:
            return None
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
            self._watch()
        # The selector of every system that has client tracking has a descriptor.
        descriptor: int = self._selector.fileno()  # type: ignore[attr-defined]  # epoll and kqueue
        return descriptor

    def arm(self, lists: Sequence[str]) -> None:
        """Have the server tell of the next change of these; `look` learns what is there now."""
        if not self._listen():
            return
        lengths: list[Command] = [("LLEN", name) for name in lists]
        try:
            self._link.send(lengths)
        except OperationalError:
            self._lose()
            return
        # What was asked before is answered first.
        self._awaited_count += len(lengths)
        self._is_armed = True

    def look(self, timeout_s: float = 0.0) -> None:
        """Take in what the server has told; wait at most `timeout_s` for it to tell something."""
        if not self._is_tracking:
            return
        try:
            answers = self._link.receive(timeout_s)
        except OperationalError:
            self._lose()
            return
        for answer in answers:
            if isinstance(answer, hiredis.PushNotification):
                self._on_push(answer)
            else:
                self._awaited_count = max(0, self._awaited_count - 1)
                if answer != 0:
                    self._is_armed = False

    def hear(self, globs: Sequence[str]) -> None:
        """Listen to the channels of these patterns, and to no others."""
        known, self._globs = self._globs, tuple(globs)
        if not self._is_tracking:
            if globs:
                self._listen()
            return
        self._subscribe("PUNSUBSCRIBE", [it for it in known if it not in self._globs])
        self._subscribe("PSUBSCRIBE", [it for it in self._globs if it not in known])

    def take_heard(self) -> list[tuple[bytes, bytes]]:
        """Return (pattern, payload) of what was published since."""
        heard, self._heard = self._heard, []
        return heard

    def close(self) -> None:
        """Hang up."""
        self._lose()
        if self._selector is not None:
            self._selector.close()
            self._selector = None

    def _listen(self) -> bool:
        """Make sure that the server tracks for us; False where it cannot, or is away."""
        if self._is_tracking and self._link.is_open:
            return True
        if not self._is_possible:
            return False
        self._lose()
        try:
            self._link.connect()
            try:
                self._link.run("CLIENT", "TRACKING", "ON")
            except OperationalError:
                # A proxy, or a server without it: the caller polls. A lost link tries again.
                self._is_possible = not self._link.is_open
                return False
        except ImproperlyConfigured:
            raise
        except EngineError:
            return False
        self._is_tracking = True
        self._watch()
        self._subscribe("PSUBSCRIBE", self._globs)
        return self._is_tracking

    def _subscribe(self, command: str, globs: Sequence[str]) -> None:
        if globs:
            try:
                self._link.send([(command, *globs)])
            except OperationalError:
                self._lose()

    def _on_push(self, push: Sequence[Any]) -> None:
        kind = push[0]
        if kind == b"pmessage":
            self._heard.append((push[1], push[3]))
        # What says that a subscription began or ended rings nothing.
        if kind in (b"pmessage", b"invalidate"):
            self._is_armed = False

    def _watch(self) -> None:
        if self._selector is not None and self._is_tracking:
            self._selector.register(self._link.descriptor(), selectors.EVENT_READ)

    def _lose(self) -> None:
        if self._selector is not None:
            for key in list(self._selector.get_map().values()):
                with contextlib.suppress(KeyError, ValueError, OSError):
                    self._selector.unregister(key.fileobj)
        self._link.close()
        self._is_tracking = self._is_armed = False
        self._awaited_count = 0
