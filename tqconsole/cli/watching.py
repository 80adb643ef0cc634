"""A session without a screen: its snapshots at an interval, for `top` and `watch`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from tqconsole.cli.console import ConsoleOptions, Opener
from tqconsole.engine.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from tqconsole.cli.invocation import Invocation
    from tqconsole.core.session import Session
    from tqconsole.core.views import Snapshot

#: Seconds after which what answers at all has answered: before, nothing is missing yet.
WARM_UP_S = 3.0
#: Seconds between two looks at what came.
_TURN_S = 0.1


@contextmanager
def watched(invocation: Invocation) -> Iterator[Session]:
    """Open a session that changes nothing and hears everything. Raises: OperationalError."""
    app = invocation.app()
    app.broker.connect()
    with ExitStack() as opened:
        opened.callback(app.close)
        session = Opener(ConsoleOptions(read_only=True, no_history=True), opened).own(
            invocation, app
        )
        opened.callback(session.stop)
        session.start()
        yield session


def snapshots(
    session: Session,
    interval_s: float,
    *,
    warm_up_s: float = WARM_UP_S,
    clock: Clock = SYSTEM_CLOCK,
) -> Iterator[Snapshot]:
    """Yield a snapshot after the warm-up and then every `interval_s` seconds, for ever."""
    pause = threading.Event()
    due_mono = clock.mono() + warm_up_s
    while True:
        session.drain(_TURN_S)
        now_mono = clock.mono()
        if now_mono >= due_mono:
            # A frame that was suspended makes up for nothing.
            due_mono = max(due_mono + interval_s, now_mono)
            yield session.snapshot()
        pause.wait(min(_TURN_S, max(0.0, due_mono - now_mono)))
