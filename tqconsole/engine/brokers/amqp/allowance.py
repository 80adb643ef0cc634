"""How many unsettled messages the server may have given us: what it was told, and when to tell it
anew.

What the worker wants changes with every exchange, and each change costs the server more than a few
messages that wait here for a moment. So the allowance grows at once, and falls when for a while
nobody has wanted as much.
"""

from __future__ import annotations

#: What AMQP's window can say at most.
_MOST = 65_535
#: Seconds for which nobody may have wanted as much before it falls.
_CALM_S = 0.1
#: Up to here it doubles when it grows again: fast tasks want more with every exchange.
_MOST_DOUBLED = 256


class Allowance:
    """One of a consumer. `size` is what the server knows, 0 before it was told anything."""

    __slots__ = ("_most", "_since_mono", "size")

    def __init__(self) -> None:
        self.size = 0
        #: The most that was wanted in this while, and when that began.
        self._most = 0
        self._since_mono = 0.0

    def due(self, wanted: int, now_mono: float, *, doubles: bool = False) -> int:
        """Return what the server should know now: `size`, when there is nothing to tell.

        `wanted`: what may be unsettled now. `doubles`: telling is dear, so what has to grow again
        grows to twice of what it was.
        """
        wanted = min(max(1, wanted), _MOST)
        self._most = max(self._most, wanted)
        if wanted > self.size:
            return max(wanted, min(self.size * 2, _MOST_DOUBLED)) if doubles else wanted
        if now_mono - self._since_mono < _CALM_S:
            return self.size
        if self._most < self.size:
            return self._most
        self._most, self._since_mono = wanted, now_mono
        return self.size

    def told(self, size: int, now_mono: float) -> None:
        """The server knows it now."""
        self.size, self._most, self._since_mono = size, 0, now_mono
