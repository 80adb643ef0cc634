"""A consumer's own connection: what it asks in a cycle, and waiting without asking.

`CLIENT TRACKING` remembers which keys this connection has read and sends one push when one of them
changes, also when it did not exist. So the bell asks whether any of the lists is there (it is armed
then), and rings at the first push, or when one is there already. Nothing is popped and nothing
polled. The channels of fanout queues are listened to here as well.

The cycle's scripts travel on the same connection: a fetch and the arming after it are one write,
and what the server tells stands in order between the answers.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import hiredis

from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.exceptions import EngineError, ImproperlyConfigured, OperationalError
from tqconsole.engine.nested_selector import NestedSelector, fileno_of
from tqconsole.engine.redis_server import errors
from tqconsole.engine.redis_server.address import Address
from tqconsole.engine.redis_server.link import Command, Link, Script

#: The word for "not answered yet"; None is an answer.
_NOTHING = object()


class Pending:
    """A script whose answer is still to come."""

    __slots__ = ("answer", "arguments", "error", "script")

    def __init__(self, script: Script, arguments: Sequence[str | bytes | int | float]) -> None:
        self.script = script
        self.arguments = arguments
        self.answer: Any = _NOTHING
        self.error: EngineError | None = None

    @property
    def is_over(self) -> bool:
        """Whether an answer, or what came in its stead, is there."""
        return self.answer is not _NOTHING or self.error is not None


class _Look:
    """The answer to an arming is still to come."""


class _Note:
    """The answer to what nobody waits for is still to come."""

    __slots__ = ("on_miss",)

    def __init__(self, on_miss: Callable[[], None]) -> None:
        self.on_miss = on_miss


_LOOK = _Look()


class Bell:
    """A connection that asks, and listens for changes of some lists. Used by one thread."""

    def __init__(
        self,
        address: Address,
        clock: Clock = SYSTEM_CLOCK,
        on_loss: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_loss` is called when the connection broke: others to the server may have, too."""
        self._link = Link(address, clock)
        self._on_loss = on_loss
        # Its descriptor stays the same when the connection is made anew.
        self._selector: selectors.BaseSelector | None = None
        self._is_tracking = False
        self._is_possible = True
        #: What was asked and is not answered yet, oldest first.
        self._awaited: deque[Pending | _Look | _Note] = deque()
        self._look_count = 0
        self._is_armed = False
        self._has_rung = False
        #: Another socket that the descriptor tells of, and the keys whose change rings nothing.
        self._attended: socket.socket | None = None
        self._watched: socket.socket | None = None
        self._left_out: list[bytes] | None = None
        #: Who looked after the key that is left out does so no more.
        self._is_missing = False
        self._globs: tuple[str, ...] = ()
        self._heard: list[tuple[bytes, bytes]] = []

    @property
    def is_armed(self) -> bool:
        """Whether nothing has rung since it was armed, and no list is missing."""
        return self._is_armed and not self._is_missing

    @property
    def is_missing_one(self) -> bool:
        """Whether nothing has rung since it was armed, but for a list that nobody looks after."""
        return self._is_armed and self._is_missing

    def is_armed_beside(self, list_name: str) -> bool:
        """Whether nothing has rung since it was armed, and no list but this one is missing."""
        return self._is_armed and (not self._is_missing or self._left_out == [list_name.encode()])

    @property
    def is_silent(self) -> bool:
        """Whether nothing has rung since it was armed, be a list missing or not."""
        return self._is_armed

    @property
    def is_quiet(self) -> bool:
        """Whether all lists were seen empty, and none has changed since."""
        return self.is_armed and self._look_count == 0

    @property
    def is_tracking(self) -> bool:
        """Whether its descriptor tells of what comes."""
        return self._is_tracking

    @property
    def has_rung(self) -> bool:
        """Whether it has rung since `take_ring`."""
        return self._has_rung

    def fileno(self) -> int | None:
        """Return a descriptor that is readable when there is something to look at; None where the
        server cannot tell, or a selector of this process has none.
        """
        self._listen()
        if not self._is_possible:
            return None
        if self._selector is None:
            self._selector = NestedSelector()
            self._watch()
            if self._attended is not None:
                self._selector.register(self._attended, selectors.EVENT_READ)
        return fileno_of(self._selector)

    # --- asking -------------------------------------------------------------------------------

    def begin(
        self,
        script: Script,
        arguments: Sequence[str | bytes | int | float],
        arming: Sequence[str] = (),
    ) -> Pending:
        """Let a script leave; `finish` brings its answer. With `arming` the bell is armed for these
        lists in the same write, after the script.

        Raises: OperationalError, ImproperlyConfigured.
        """
        pending = Pending(script, arguments)
        commands: list[Command] = [(b"EVALSHA", script.sha, b"0", *arguments)]
        self._connect()
        if arming and self._is_tracking:
            commands.append(("EXISTS", *arming))
        self._send(commands)
        self._awaited.append(pending)
        if len(commands) > 1:
            self._await_look()
        return pending

    def finish(self, pending: Pending) -> Any:
        """Return what a script that was begun returns. Raises: OperationalError."""
        while not pending.is_over:
            if not self._take_in(self._link.timeout_s):
                self._lose(self._link.broken(TimeoutError("timed out")))
        if pending.error is not None:
            raise pending.error
        answer = pending.answer
        if isinstance(answer, hiredis.ReplyError):
            raise self._refused(answer)
        return answer

    def run(self, script: Script, arguments: Sequence[str | bytes | int | float]) -> Any:
        """Return what a script returns. Raises: OperationalError."""
        return self.finish(self.begin(script, arguments))

    def note(
        self, commands: Sequence[Command], on_miss: Callable[[], None], arming: Sequence[str] = ()
    ) -> None:
        """Let commands leave whose answers nobody waits for: `on_miss` is called when one of them
        is refused, or its answer lost. `arming` as in `begin`.

        Raises: OperationalError.
        """
        self._connect()
        is_arming = bool(arming) and self._is_tracking
        self._send([*commands, ("EXISTS", *arming)] if is_arming else commands)
        self._awaited.extend([_Note(on_miss)] * len(commands))
        if is_arming:
            self._await_look()

    # --- waiting ------------------------------------------------------------------------------

    def arm(self, lists: Sequence[str]) -> None:
        """Have the server tell of the next change of these; `look` learns what is there now."""
        if not lists or not self._listen():
            return
        with contextlib.suppress(OperationalError):
            self._send([("EXISTS", *lists)])
            self._await_look()

    def look(self, timeout_s: float = 0.0) -> None:
        """Take in what the server has told; wait at most `timeout_s` for it to tell something."""
        if self._link.is_open:
            self._take_in(timeout_s)
        elif self._is_armed:
            # Whom it should tell hears nothing there any more.
            self._lose(ConnectionError("it was lost"))

    def attend(self, other: socket.socket | None) -> None:
        """Have the descriptor tell also of what comes at another socket, until None is given."""
        if other is self._attended:
            return
        self._unregister(self._attended)
        self._attended = other
        if other is not None and self._selector is not None:
            self._selector.register(other, selectors.EVENT_READ)

    def leave_out(self, list_name: str) -> None:
        """Ring for all but this list, which somebody else looks after."""
        self._left_out, self._is_missing = [list_name.encode()], False

    def miss(self) -> None:
        """The list that was left out is looked after by nobody, until the bell is armed anew."""
        self._is_missing = self._left_out is not None

    def disarm(self) -> None:
        """What has changed since it was armed is not known: a look must be made."""
        self._is_armed = self._is_missing = False
        self._left_out = None

    def ring(self) -> None:
        """Something may be there."""
        self._is_armed = False
        self._has_rung = True

    def take_ring(self) -> bool:
        """Return whether it has rung since the last call."""
        has_rung, self._has_rung = self._has_rung, False
        return has_rung

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
        self._lose(ConnectionError("closed before it answered"))
        if self._selector is not None:
            self._selector.close()
            self._selector = None

    # --- inside -------------------------------------------------------------------------------

    def _await_look(self) -> None:
        # What was asked before is answered first.
        self._awaited.append(_LOOK)
        self._look_count += 1
        self._is_armed, self._is_missing, self._left_out = True, False, None

    def _connect(self) -> None:
        """Make sure of the connection, and that the server tracks where it can. Raises what Link
        raises.
        """
        if self._link.is_open and (self._is_tracking or not self._is_possible):
            return
        self._lose(ConnectionError("it was lost"))
        self._link.connect()
        if self._is_possible:
            self._track()

    def _track(self) -> None:
        try:
            self._link.run("CLIENT", "TRACKING", "ON")
        except OperationalError:
            if not self._link.is_open:
                raise
            # A proxy, or a server without it: the caller polls.
            self._is_possible = False
            return
        self._is_tracking = True
        self._watch()
        self._subscribe("PSUBSCRIBE", self._globs)

    def _listen(self) -> bool:
        """Make sure that the server tracks for us; False where it cannot, or is away."""
        if not self._is_possible:
            return False
        try:
            self._connect()
        except ImproperlyConfigured:
            raise
        except EngineError:
            return False
        return self._is_tracking

    def _subscribe(self, command: str, globs: Sequence[str]) -> None:
        if globs:
            with contextlib.suppress(OperationalError):
                self._send([(command, *globs)])

    def _send(self, commands: Sequence[Command]) -> None:
        try:
            self._link.send(commands)
        except OperationalError as error:
            self._lose(error)
            raise

    def _take_in(self, timeout_s: float) -> bool:
        """Take what has come, each in its turn; False when nothing came in time."""
        try:
            answers = self._link.receive(timeout_s)
        except OperationalError as error:
            self._lose(error)
            return True
        for answer in answers:
            if isinstance(answer, hiredis.PushNotification):
                self._on_push(answer)
            elif self._awaited:
                self._on_answer(self._awaited.popleft(), answer)
        return bool(answers)

    def _on_answer(self, asked: Pending | _Look | _Note, answer: Any) -> None:
        if isinstance(asked, Pending):
            if isinstance(answer, hiredis.ReplyError) and str(answer).startswith("NOSCRIPT"):
                self._awaited.append(asked)  # before it leaves: a loss has to tell it
                with contextlib.suppress(OperationalError):
                    self._send([(b"EVAL", asked.script.text, b"0", *asked.arguments)])
            else:
                asked.answer = answer
        elif isinstance(asked, _Look):
            self._look_count -= 1
            if answer != 0:
                self.ring()
        elif isinstance(answer, hiredis.ReplyError):
            self._refused(answer)
            asked.on_miss()
            self.ring()

    def _on_push(self, push: Sequence[Any]) -> None:
        kind = push[0]
        if kind == b"pmessage":
            self._heard.append((push[1], push[3]))
            self.ring()
        # What comes before the answer to a look was told to the look before it: that answer says
        # what is there now. And who says that a subscription began or ended rings nothing.
        elif kind == b"invalidate" and not self._look_count and push[1] != self._left_out:
            self.ring()

    def _refused(self, answer: Any) -> EngineError:
        refused = self._link.refusal(answer)
        if not self._link.is_open:
            self._lose(refused)
        return refused

    def _watch(self) -> None:
        if self._selector is not None and self._is_tracking:
            self._watched = self._link.descriptor()
            self._selector.register(self._watched, selectors.EVENT_READ)

    def _unregister(self, watched: socket.socket | None) -> None:
        if self._selector is not None and watched is not None:
            with contextlib.suppress(KeyError, ValueError, OSError):
                self._selector.unregister(watched)

    def _lose(self, error: BaseException) -> None:
        self._unregister(self._watched)
        self._watched = None
        self._link.close()
        self._is_tracking = False
        self.disarm()
        self._look_count = 0
        self._on_loss()
        server = self._link.address.server
        told = error if isinstance(error, EngineError) else errors.of_link(error, server)
        lost, self._awaited = self._awaited, deque()
        for asked in lost:
            if isinstance(asked, Pending):
                asked.error = told
            elif isinstance(asked, _Note):
                asked.on_miss()
