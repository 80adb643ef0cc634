"""The processes of a prefork pool: how many there are, how each comes and goes. It knows no news.

`PreforkPool` says which child runs what; this class makes children, hears them, and replaces those
that are gone. It tells what happened as pairs of a slot and what its child said, None for "it is
dead and how is known".
"""

from __future__ import annotations

import logging
import os
import selectors

from tqconsole.engine.clock import Clock
from tqconsole.engine.pools import frame
from tqconsole.engine.pools.child import ChildPlan
from tqconsole.engine.pools.link import TemplateLink
from tqconsole.engine.pools.slot import Slot

logger = logging.getLogger(__name__)

#: How long a child may take to run its tear-down, seconds (Celery asks handlers to end within 4).
LEAVE_S = 5.0
#: How long to wait for the template to say how a child died, seconds. Its jobs wait as long, and a
#: loss is to be known within one second.
_STATUS_S = 0.5
#: The pause after a child that never became ready, seconds: the first, and the longest.
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0

Happening = tuple[Slot, frame.Note | None]


class Crew:
    """The template, and a slot for each child of it."""

    def __init__(self, plan: ChildPlan, size: int, clock: Clock) -> None:
        self.size = size
        self.slots: dict[int, Slot] = {}
        #: True from the moment when nobody is to be replaced any more.
        self.is_ending = False
        #: Rises whenever a child stops being available.
        self.turnover = 0
        self._plan = plan
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._template = TemplateLink(plan)
        self._made_count = 0
        self._is_short = False
        self._pause_s = 0.0
        self._spawn_mono = 0.0

    def fileno(self) -> int:
        """Return the selector's descriptor: it is readable when a child or the template is."""
        return self._selector.fileno()

    def due_mono(self) -> float | None:
        """Return when `advance` has something to do at the latest."""
        due_mono = self._spawn_mono if self._is_short and not self.is_ending else None
        for slot in self.slots.values():
            deadline_mono = slot.deadline_mono
            if deadline_mono and (due_mono is None or deadline_mono < due_mono):
                due_mono = deadline_mono
        return due_mono

    def advance(self, timeout_s: float) -> list[Happening]:
        """Return what happened within `timeout_s`; replace what is gone, end what is overdue."""
        happened: list[Happening] = []
        for key, mask in self._selector.select(timeout_s):
            if key.data is None:
                happened += self._hear_template()
                continue
            if mask & selectors.EVENT_WRITE and not key.data.is_gone:
                key.data.flush()
                self.watch(key.data)
            if mask & selectors.EVENT_READ:
                happened += self.hear(key.data)
        happened += self._enforce_deadlines()
        if self._is_short and not self.is_ending:
            self.keep_size()
        return happened

    def hear(self, slot: Slot) -> list[Happening]:
        """Return what the child has said by now."""
        if slot.number not in self.slots or slot.is_gone:
            return []
        happened: list[Happening] = []
        was_bell_dead = slot.is_bell_dead
        notes = slot.receive()
        if slot.is_bell_dead != was_bell_dead:
            self.watch(slot)
        for note in notes:
            if note[0]:
                self._heed(slot, *note)
            happened.append((slot, note))
        if slot.is_gone:
            happened += self._bury(slot)
        return happened

    def _heed(self, slot: Slot, flags: int, pid: int, _: bytes) -> None:
        """Take in what a note says of the child itself."""
        if flags & frame.IS_READY:
            slot.is_ready = True
            slot.pid = pid
            self._pause_s = 0.0
            if not slot.is_leaving:
                slot.deadline_mono = None
        if flags & frame.IS_LAST:
            self._set_leaving(slot)

    def _hear_template(self) -> list[Happening]:
        notices = self._template.receive()
        if notices is None:
            return self._lose_template()
        happened: list[Happening] = []
        for what, number, pid, value in notices:
            if what == frame.FORKED and number in self.slots:
                self.slots[number].pid = pid
            elif what == frame.FORK_FAILED and number in self.slots:
                logger.error("Cannot fork a process of the pool: %s", os.strerror(value))
                happened += self._bury(self.slots[number], is_final=True)
            elif what == frame.EXITED:
                happened += self._hear_exit(pid, value)
        return happened

    def _hear_exit(self, pid: int, status: int) -> list[Happening]:
        slot = next((slot for slot in self.slots.values() if slot.pid == pid), None)
        if slot is None:
            return []
        slot.status = status
        # Its pipes may outlive it, when a process that it started holds a copy.
        happened = self.hear(slot)
        slot.is_gone = True
        return happened + self._bury(slot)

    def _lose_template(self) -> list[Happening]:
        """The template died, and with it all children. The next one is forked from this process as
        it is now: not from before its threads, the best that is left.
        """
        logger.error("The pool's template process died: all its children are replaced")
        self._selector.unregister(self._template)
        self._template.stop()
        happened: list[Happening] = []
        for slot in list(self.slots.values()):
            slot.kill()
            happened += self.hear(slot)
            happened += self._bury(slot, is_final=True)
        return happened

    def _enforce_deadlines(self) -> list[Happening]:
        now_mono = self._clock.mono()
        happened: list[Happening] = []
        for slot in list(self.slots.values()):
            if slot.deadline_mono is None or slot.deadline_mono > now_mono:
                continue
            if slot.is_gone or slot.is_killed:
                happened += self._bury(slot, is_final=True)
            else:
                logger.warning("Process %s of the pool is not ready or not gone: killed", slot.pid)
                self.kill(slot)
        return happened

    def _bury(self, slot: Slot, *, is_final: bool = False) -> list[Happening]:
        """Forget the dead child when its end is known, or when it will never be (`is_final`)."""
        if slot.number not in self.slots:
            return []
        self._is_short = True
        self.turnover += 1
        for descriptor in (slot.bell, slot.notes, slot.batches):
            self._set(descriptor, 0, slot)
        if slot.status is None and not is_final:
            slot.deadline_mono = self._clock.mono() + _STATUS_S
            return []
        # Its own end may not have been heard yet, and it must not count as free until then.
        slot.is_gone = True
        del self.slots[slot.number]
        if not slot.is_ready and not slot.is_leaving:
            self._pause()
        return [(slot, None)]

    def _pause(self) -> None:
        """Wait longer each time before the next try to make a child that lives."""
        self._pause_s = min(_LONGEST_PAUSE_S, self._pause_s * 2 or _FIRST_PAUSE_S)
        self._spawn_mono = self._clock.mono() + self._pause_s

    # -- how many --------------------------------------------------------------------------------

    def keep_size(self) -> None:
        """Order children that are missing, let go those that are too many, idle ones first."""
        staying = self._staying()
        missing_count = self.size - len(staying)
        if missing_count > 0 and self._clock.mono() >= self._spawn_mono:
            self._spawn(missing_count)
        self._is_short = self.size > len(self._staying())
        staying.sort(key=lambda slot: (not slot.is_retiring, bool(slot.jobs)))
        self._retire(staying[: max(0, -missing_count)])

    def replace_all(self) -> None:
        """Let every child go as it comes free, and make another one then."""
        self._retire(self._staying())
        self.keep_size()

    def _staying(self) -> list[Slot]:
        return [slot for slot in self.slots.values() if not (slot.is_leaving or slot.is_gone)]

    def _retire(self, slots: list[Slot]) -> None:
        for slot in slots:
            slot.is_retiring = True
            if not slot.jobs:
                self.dismiss(slot)

    def _spawn(self, count: int) -> None:
        if not self._template.is_alive:
            try:
                self._template.start()
            except OSError:
                logger.exception("Cannot fork the pool's template process")
                self._pause()
                return
            self._selector.register(self._template, selectors.EVENT_READ, None)
        for _ in range(count):
            self._made_count += 1
            slot = Slot(self._made_count)
            slot.deadline_mono = self._clock.mono() + self._plan.options.start_timeout_s
            self.slots[slot.number] = slot
            self._selector.register(slot.bell, selectors.EVENT_READ, slot)
            self._template.order(slot)

    # -- one of them -----------------------------------------------------------------------------

    def watch(self, slot: Slot) -> None:
        """Wait for what this slot waits for now."""
        if slot.number not in self.slots or slot.is_gone:
            return
        self._set(slot.bell, 0 if slot.is_bell_dead else selectors.EVENT_READ, slot)
        self._set(slot.notes, selectors.EVENT_READ if slot.is_bell_dead else 0, slot)
        self._set(slot.batches, selectors.EVENT_WRITE if slot.has_unsent else 0, slot)

    def _set(self, descriptor: int, events: int, slot: Slot) -> None:
        """Watch a descriptor for these events, 0 for none."""
        key = self._selector.get_map().get(descriptor)
        if key is None:
            if events:
                self._selector.register(descriptor, events, slot)
        elif not events:
            self._selector.unregister(descriptor)
        elif key.events != events:
            self._selector.modify(descriptor, events, slot)

    def dismiss(self, slot: Slot) -> None:
        """Tell an idle child to end."""
        slot.dismiss()
        self.watch(slot)
        self._set_leaving(slot)

    def _set_leaving(self, slot: Slot) -> None:
        slot.is_leaving = self._is_short = True
        self.turnover += 1
        slot.deadline_mono = self._clock.mono() + LEAVE_S

    def kill(self, slot: Slot) -> None:
        """Kill, and do not wait for ever for a process that the kernel cannot end now."""
        slot.kill()
        slot.is_killed = True
        slot.deadline_mono = self._clock.mono() + LEAVE_S

    def end(self, leave_s: float) -> None:
        """Kill the children that run something, dismiss the others; from now on replace none.

        `advance` until `slots` is empty, then `close`.
        """
        self.is_ending = True
        for slot in self.slots.values():
            if slot.jobs:
                self.kill(slot)
            elif not slot.is_leaving:
                self.dismiss(slot)
                slot.deadline_mono = self._clock.mono() + leave_s

    def close(self) -> None:
        """End the template."""
        if self._template.is_alive:
            self._selector.unregister(self._template)
            self._template.stop()
