"""A worker that a program runs itself: `app.Worker(concurrency=1).start()`."""

from __future__ import annotations

import threading
from typing import Any

from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.worker.options import WorkerOptions
from tqconsole.engine.worker.program import RESTART, run_worker
from tqconsole.engine.worker.values import Stop
from tqconsole.engine.worker.waker import Waker


class WorkController:
    """One worker. It runs in the thread that starts it; any thread may stop it."""

    def __init__(self, app: Any, **options: Any) -> None:
        """Take the command line's options as keywords. Raises: ImproperlyConfigured for others."""
        unknown = sorted(set(options) - set(WorkerOptions.__struct_fields__))
        if unknown:
            raise ImproperlyConfigured(
                f"a worker has no option {unknown[0]}; it has"
                f" {', '.join(sorted(WorkerOptions.__struct_fields__))}"
            )
        self.app = app
        self.options = WorkerOptions(**options)
        #: What the process would end with; None while it has not ended.
        self.exitcode: int | None = None
        self._lock = threading.Lock()
        self._waker: Waker | None = None
        self._asked: Stop | None = None

    def start(self) -> None:
        """Work until told to stop. Raises: as the command line's mistakes are."""
        code = run_worker(self.app, self.options, on_waker=self._take)
        with self._lock:
            self._waker = None
        self.exitcode = 0 if code == RESTART else code

    def stop(self, *, is_cold: bool = False) -> None:
        """Have it finish what runs and end; `is_cold` ends what runs. Returns at once."""
        with self._lock:
            self._asked = Stop(is_cold)
            if self._waker is not None:
                self._waker.post(self._asked)

    def terminate(self) -> None:
        """Have it end what runs."""
        self.stop(is_cold=True)

    def _take(self, waker: Waker) -> None:
        with self._lock:
            self._waker = waker
            if self._asked is not None:
                waker.post(self._asked)
