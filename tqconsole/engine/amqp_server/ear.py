"""A descriptor that stays the same while connections come and go, for somebody's selector.

It is readable when the connection has something to read, and when it was rung: another thread has
read what came, or the connection is gone.
"""

from __future__ import annotations

import contextlib
import selectors
import socket

from tqconsole.engine.nested_selector import NestedSelector, fileno_of


class Ear:
    """Made on first use. `ring` may be called by any thread."""

    def __init__(self) -> None:
        self._selector: selectors.BaseSelector | None = None
        self._rung: tuple[socket.socket, socket.socket] | None = None
        self._watched: socket.socket | None = None

    def fileno(self, link: socket.socket | None) -> int | None:
        """Return the descriptor, None where this process has no selector with one; `link` is what
        to listen to now.
        """
        if self._selector is None:
            self._selector = NestedSelector()
            reader, writer = socket.socketpair()
            reader.settimeout(0)
            writer.settimeout(0)
            self._rung = reader, writer
            self._selector.register(reader, selectors.EVENT_READ)
            self.listen(link)
        return fileno_of(self._selector)

    def listen(self, link: socket.socket | None) -> None:
        """Listen to this connection instead of the one before."""
        if self._selector is None:
            return
        if self._watched is not None:
            with contextlib.suppress(KeyError, ValueError, OSError):
                self._selector.unregister(self._watched)
        self._watched = link
        if link is not None:
            self._selector.register(link, selectors.EVENT_READ)

    def ring(self) -> None:
        """Make the descriptor readable until `hush`."""
        if self._rung is not None:
            with contextlib.suppress(OSError):
                self._rung[1].send(b"!")

    def hush(self) -> None:
        """Take all rings."""
        if self._rung is not None:
            with contextlib.suppress(OSError):
                while self._rung[0].recv(64):
                    pass

    def close(self) -> None:
        """Give the descriptor up."""
        if self._selector is not None:
            self._selector.close()
            self._selector = None
        if self._rung is not None:
            for end in self._rung:
                end.close()
            self._rung = None
