"""What a consumer knows of its lists without asking, and who tells it of more.

The bell tells of all of them, and has to be armed again whenever it has rung. A fetch that waits in
the server looks after one list, so the bell need not: that list is missing from it when the fetch
has come, until another waits or the bell is armed anew. Before anybody sleeps, each list is looked
after by one of the two. Used by one thread.
"""

from __future__ import annotations

from collections.abc import Callable

from tqconsole.engine.brokers.redis.ageing import Place
from tqconsole.engine.brokers.redis.bell import Bell
from tqconsole.engine.brokers.redis.cycle import Cycle, Server
from tqconsole.engine.brokers.redis.exchange import MOST_WANTED, Feeding, Landed, Plan

#: Seconds between two looks although the bell is quiet; a dead link is noticed in 15 s.
BACKSTOP_S = 30.0


class Watch:
    """Decides whether a fetch is worth its trip, what is armed with it, and what waits."""

    def __init__(
        self,
        server: Server,
        bell: Bell,
        cycle: Cycle,
        feeding: Feeding,
        lasts: Callable[[str], bool],
    ) -> None:
        """`lasts` tells whether the lists of a queue do not end by themselves."""
        self._link, self._clock = server.link, server.clock
        self._bell = bell
        self._cycle = cycle
        self._feeding = feeding
        self._lasts = lasts
        self._looked_mono = float("-inf")
        #: The last fetch found less than was wanted, and probably so will the next.
        self._is_found_short = True
        #: It did, so the next thing to come must be told.
        self._is_bell_wanted = False
        #: A message came by a fetch that waited, after which the bell is not armed yet; and who had
        #: the one before went to sleep with it, so that the bell had to be.
        self._is_arming_owed = self._has_slept_in_hand = False
        #: Something has come since a fetch waited in vain, so it is worth while to let another.
        self._is_lively = False
        #: How many were wanted last.
        self._wanted = 0

    # --- an exchange --------------------------------------------------------------------------

    def note_wanted(self, count: int) -> None:
        """So many are wanted from now on."""
        self._wanted = count

    def take_caught(self) -> bool:
        """Take in what a fetch that waited has brought; return whether it was something."""
        count = self._cycle.take_caught()
        if count is None:
            return False
        self._is_lively = bool(count)
        if count:
            self._is_found_short = self._is_bell_wanted = self._is_arming_owed = True
        else:
            # Nobody looks after its list any more: the next fetch has to.
            self._bell.ring()
        return bool(count)

    def is_worth_a_look(self, plan: Plan) -> bool:
        """Return whether what the server has told may change what is asked. A bell that is not
        armed has a fetch made anyway, and what starts waits for nothing.
        """
        return self._bell.is_silent and not plan.only_starts

    def notes_alone(self, plan: Plan) -> bool:
        """Return whether what was caught starts: that is written down, and nothing is fetched."""
        return self._is_arming_owed and plan.only_starts and not self._cycle.starts.are_owed

    def note_caught(self, plan: Plan) -> None:
        """Write down what starts. Who goes to sleep before it ends has to be told of more."""
        self._is_arming_owed = False
        is_arming = self._has_slept_in_hand or not self._bell.is_silent
        self._has_slept_in_hand = False
        self._cycle.note_started(plan, self._feeding.lists() if is_arming else ())

    def will_wait(self, plan: Plan) -> bool:
        """Return whether a fetch is going to wait for the list that the bell misses, once what is
        planned has left: nothing needs to be fetched with it.
        """
        is_last = plan.only_ends and len(plan.acked) == len(self._cycle.hand) > 0
        return is_last and self._bell.is_missing_one and self._place_to_wait_for() is not None

    def may_find(self, plan: Plan) -> bool:
        """Return whether there is a point in fetching beside what is planned.

        Raises: OperationalError.
        """
        # A look that is under way tells as well as a quiet bell: it is not worth a fetch beside it.
        if self._bell.is_armed and not plan.is_empty:
            return False
        return not self._bell.is_quiet or self._is_time_to_look()

    def lists_to_arm(self) -> list[str]:
        """Return what the bell is to be armed for in the same write as a fetch. It is about to find
        all there is, as far as is known: so it hears of the next one without another trip.
        """
        if self._bell.is_armed or not self._is_found_short:
            return []
        return self._feeding.lists()

    def note_landed(self, landed: Landed) -> None:
        """A fetch has come back."""
        self._looked_mono = self._clock.mono()
        self._is_found_short = landed.found_count < landed.wanted
        self._is_bell_wanted = self._is_found_short
        self._is_lively = self._is_lively or landed.found_count > 0

    # --- waiting ------------------------------------------------------------------------------

    def prepare_wait(self, *, has_in_hand: bool) -> None:
        """See to it that all that comes is told."""
        self._has_slept_in_hand |= has_in_hand
        self.arm()
        if not has_in_hand:
            self.let_a_fetch_wait()
        if not self._cycle.is_catching:
            self._bell.attend(None)

    def arm(self) -> None:
        """Have the server tell of the next change, unless a fetch is to be made anyway."""
        if self._is_bell_wanted or self._bell.is_missing_one:
            self._is_bell_wanted = False
            if not (self._bell.is_armed or self._bell.has_rung):
                self._bell.arm(self._feeding.lists())

    def let_a_fetch_wait(self) -> None:
        """Put a fetch into the server for where the last message came from, if that is lively."""
        if self._cycle.is_catching:
            return
        place = self._place_to_wait_for()
        if place is not None:
            self._cycle.catch(place, min(self._wanted, MOST_WANTED))

    def look_again(self) -> None:
        """What was seen is worth nothing any more: other lists, or what came back to them."""
        self._looked_mono = float("-inf")

    # --- inside -------------------------------------------------------------------------------

    def _place_to_wait_for(self) -> Place | None:
        place = self._feeding.last_place
        if place is None or not (self._is_lively and self._wanted > 0):
            return None
        # A move within a list that ends by itself would make it one that does not.
        if not self._lasts(place[0]):
            return None
        # The bell can do without one list only.
        return place if self._bell.is_armed_beside(self._feeding.list_of(place)) else None

    def _is_time_to_look(self) -> bool:
        """Return whether there is something although the bell is quiet, which is seldom asked."""
        now_mono = self._clock.mono()
        if now_mono - self._looked_mono <= BACKSTOP_S:
            return False
        self._looked_mono = now_mono
        lists = self._feeding.lists()
        return bool(lists) and bool(self._link.run("EXISTS", *lists))
