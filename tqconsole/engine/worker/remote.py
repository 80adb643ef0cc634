"""The worker's ear for broadcast commands: the mailbox, opened again when the broker was away."""

from __future__ import annotations

import contextlib
import logging

from tqconsole.engine.brokers.base import Broker, Subscription
from tqconsole.engine.control.mailbox import Mailbox
from tqconsole.engine.control.table import run_command
from tqconsole.engine.exceptions import EngineError
from tqconsole.engine.protocol.mailboxes import Mailboxes
from tqconsole.engine.worker.panel import WorkerPanel

logger = logging.getLogger(__name__)


class Remote:
    """Serves requests in the loop's thread, one after the other."""

    def __init__(self, broker: Broker, panel: WorkerPanel, mailboxes: Mailboxes) -> None:
        self._broker = broker
        self._mailboxes = mailboxes
        self._panel = panel
        self._mailbox: Mailbox | None = None

    @property
    def period_s(self) -> float:
        """How often `open` should be called."""
        return 1.0 if self._mailbox is None or self.fileno() is not None else 0.1

    def open(self) -> None:
        """Open the mailbox unless it is open. Raises: OperationalError."""
        if self._mailbox is None:
            self._mailbox = Mailbox(self._broker, self._panel.hostname, mailboxes=self._mailboxes)

    @property
    def subscription(self) -> Subscription | None:
        """The mailbox's, None while there is none."""
        return None if self._mailbox is None else self._mailbox.subscription

    def fileno(self) -> int | None:
        """Return the mailbox's descriptor, None without one."""
        return None if self._mailbox is None else self._mailbox.fileno()

    def serve(self) -> None:
        """Run what was asked and answer it. Raises: OperationalError."""
        if self._mailbox is None:
            return
        for request in self._mailbox.poll():
            logger.debug("Control command %s", request.method)
            value = run_command(self._panel, request.method, request.arguments)
            self._mailbox.answer(request, value)

    def lose(self) -> None:
        """Give up a mailbox that fails; `open` makes a new one."""
        if self._mailbox is not None:
            mailbox, self._mailbox = self._mailbox, None
            with contextlib.suppress(EngineError, OSError):
                mailbox.close()
