"""What starts, written down at the server by a note whose answer nobody waits for.

A note that was refused, or whose answer was lost, is owed: the next exchange says it again, and
fails where it is refused again; so does the next renewal, for who runs one task for long. To write
it down twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from tqconsole.engine.brokers.redis import lua
from tqconsole.engine.brokers.redis.bell import Bell
from tqconsole.engine.brokers.redis.exchange import Held, Plan
from tqconsole.engine.brokers.redis.keys import Keys
from tqconsole.engine.redis_server.link import Command, Link


class Starts:
    """The notes of one consumer. Used by one thread, except `say_again`."""

    def __init__(self, bell: Bell, keys: Keys) -> None:
        self._bell = bell
        self._index = keys.unacked_index
        #: Tag -> whether it is acknowledged by its start, of what may not stand in the server.
        self._owed: dict[str, bool] = {}

    @property
    def are_owed(self) -> bool:
        """Whether something may not stand in the server that has started."""
        return bool(self._owed)

    def note(self, plan: Plan, arming: Sequence[str] = ()) -> None:
        """Let what starts be written down, of a plan that says nothing else. With `arming` the bell
        is armed for these lists in the same write. Raises: OperationalError.
        """
        commands = self._commands(plan.late, plan.early)
        self._bell.note(commands, lambda: self._owe(plan), arming)

    def add_to(self, plan: Plan) -> None:
        """Have an exchange say again what is owed, but for what it ends."""
        if not self._owed:
            return
        ended = {*plan.acked, *(row[0] for row in plan.backs), *(row[0] for row in plan.dead)}
        for tag, is_acked in list(self._owed.items()):
            if tag not in ended:
                (plan.early if is_acked else plan.late).append(tag)

    def say_again(self, link: Link) -> None:
        """Write down what is owed. Any thread may call it. Raises: OperationalError."""
        owed = dict(self._owed)
        if not owed:
            return
        early = [tag for tag, is_acked in owed.items() if is_acked]
        late = [tag for tag, is_acked in owed.items() if not is_acked]
        link.ask(self._commands(late, early))
        for tag in owed:
            self._owed.pop(tag, None)

    def settle(self, plan: Plan, hand: dict[str, Held]) -> None:
        """Owe no more what an exchange has said, nor what it has ended."""
        for tag in list(self._owed):
            if tag not in hand or tag in plan.early or tag in plan.late:
                self._owed.pop(tag, None)

    def _commands(self, late: Sequence[str], early: Sequence[str]) -> list[Command]:
        commands: list[Command] = []
        if early:
            commands.append(("ZREM", self._index, *early))
        if late:
            commands.append((b"EVAL", lua.START.text, b"0", self._index, *late))
        return commands

    def _owe(self, plan: Plan) -> None:
        self._owed.update(dict.fromkeys(plan.early, True))
        self._owed.update(dict.fromkeys(plan.late, False))
