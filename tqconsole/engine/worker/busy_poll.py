"""Busy polling: a wait that looks a moment for what is about to come before it goes to sleep.

To be put to sleep and woken takes a process longer than a short task does, and its processor's
caches are cold afterwards. So a wait looks first, but only if the last one of its kind was over
within that moment, as a kernel's halt polling does for a guest: who looked in vain looks no more
until a sleep was short again. What runs one after the other at its own pace is never waited for
like this.
"""

from __future__ import annotations

import os
import selectors
from collections.abc import Callable, Hashable
from typing import Any

from tqconsole.engine.clock import Clock

#: What a selector returns.
Found = list[tuple[Any, int]]
#: A look takes longer than this, seconds: it bounds them where a clock stands still.
_LOOK_S = 1e-6
#: Lets others have the processor who wait for it. Not every system can.
_give_way: Callable[[], None] = getattr(os, "sched_yield", lambda: None)


class BusyPoll:
    """Waits at a selector. Used by one thread."""

    def __init__(self, selector: selectors.BaseSelector, clock: Clock, window_s: float) -> None:
        """`window_s`: how long it looks at most, 0 for never."""
        self._selector = selector
        self._clock = clock
        self._window_s = window_s
        self._most_looks = int(window_s / _LOOK_S)
        #: Kinds of which the last wait was over within the window.
        self._short_kinds: set[Hashable] = set()

    def select(self, timeout_s: float, kind: Hashable | None) -> Found:
        """Return what is ready, (key, events), waiting at most `timeout_s` for it.

        `kind` says what is waited for: waits of one kind are expected to take equally long.
        None is what comes only to who sleeps.
        """
        if timeout_s <= 0 or self._window_s <= 0 or kind is None:
            return self._selector.select(timeout_s)
        began_mono = self._clock.mono()
        found: Found = []
        if kind in self._short_kinds:
            found = self._look(began_mono + min(self._window_s, timeout_s))
            timeout_s -= self._clock.mono() - began_mono
        if not found and timeout_s > 0:
            found = self._selector.select(timeout_s)
        if found and self._clock.mono() - began_mono <= self._window_s:
            self._short_kinds.add(kind)
        else:
            self._short_kinds.discard(kind)
        return found

    def _look(self, until_mono: float) -> Found:
        for _ in range(self._most_looks):
            found = self._selector.select(0)
            if found or self._clock.mono() >= until_mono:
                return found
            _give_way()
        return []
