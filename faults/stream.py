"""Calls that are sent one by one, at a rate, by a thread: what meets a fault while it lasts."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Self

from faults.ledger import WORK
from faults.site import Site
from tqconsole.engine.exceptions import EngineError


class Stream:
    """Sends until it is left. What fails is noted as tried, and the stream goes on.

    Leaving it raises what a call raised that is none of the engine's errors.
    """

    def __init__(self, site: Site, *, per_s: float, duration_s: float = 0.002) -> None:
        self._site = site
        self._pause_s = 1 / per_s
        self._duration_s = duration_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.failed_count = 0
        #: The longest that a call took, in seconds, whether it ended well or not.
        self.longest_s = 0.0
        self._unexpected: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        if self._unexpected is not None:
            raise self._unexpected

    def _run(self) -> None:
        while not self._is_over.wait(self._pause_s):
            started_mono = time.monotonic()
            try:
                self._send(str(uuid.uuid4()))
            except Exception as error:  # noqa: BLE001 - raised where the stream is left
                self._unexpected = error
                return
            self.longest_s = max(self.longest_s, time.monotonic() - started_mono)

    def _send(self, task_id: str) -> None:
        ledger = self._site.ledger
        ledger.tried([task_id])
        try:
            self._site.client.send_task(WORK, (self._duration_s,), task_id=task_id)
        except EngineError:
            self.failed_count += 1
        else:
            ledger.published([task_id])
