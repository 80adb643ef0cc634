"""The selector for who watches several things through one descriptor.

It is the system's own, which has a descriptor, also in a process that gevent or eventlet patches
(`tqconsole.green` imports this before): theirs have none. Nobody waits in it, so that nothing is
kept from switching.
"""

from __future__ import annotations

import selectors

#: Has a `fileno` but where somebody else patched the process first.
NestedSelector: type[selectors.BaseSelector] = selectors.DefaultSelector


def fileno_of(selector: selectors.BaseSelector) -> int | None:
    """Return the selector's descriptor, None where it has none."""
    fileno = getattr(selector, "fileno", None)
    return None if fileno is None else int(fileno())
