"""Tasks with a Request of their own, for a worker that includes this module."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

from functional_tasks import note

from tqconsole.engine.app import shared_task
from tqconsole.engine.exceptions import SoftTimeLimitExceeded
from tqconsole.engine.task import Task
from tqconsole.engine.worker.request import Request

TOLD = Path(os.environ["XDG_STATE_HOME"]).parent / "told"


class TellingRequest(Request):
    """Writes down what it is told."""

    def _note(self, what: str) -> None:
        note(str(TOLD), f"{self.name} {what}")

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        super().on_accepted(pid, time_accepted)
        self._note(f"accepted {pid != os.getpid()} {time_accepted > 1e9}")

    def on_success(self, failed__retval__runtime: tuple[bool, Any, float], **kwargs: Any) -> None:
        failed, value, runtime_s = failed__retval__runtime
        self._note(f"success {failed} {value} {runtime_s >= 0}")
        raise RuntimeError("who observes changes nothing")

    def on_retry(self, exc_info: Any) -> None:
        self._note(f"retry {exc_info.exception!r}")

    def on_timeout(self, soft: bool, timeout: float | None) -> None:
        self._note(f"timeout {soft} {timeout}")

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        super().on_failure(exc_info, send_failed_event, return_ok)
        self._note(f"failure {type(exc_info.exception).__name__}")


class TellingTask(Task):
    """A base for tasks that tell."""

    abstract = True
    Request = TellingRequest


@shared_task(base=TellingTask, name="fine")
def fine() -> int:
    return 4


@shared_task(base=TellingTask, name="bad")
def bad() -> None:
    raise ValueError("bad")


@shared_task(base=TellingTask, name="again", bind=True, max_retries=1)
def again(self: Any) -> int:
    if not self.request.retries:
        raise self.retry(exc=KeyError("not yet"), countdown=0)
    return 1


@shared_task(base=TellingTask, name="too_long", soft_time_limit=0.1)
def too_long() -> None:
    threading.Event().wait(60)
    raise SoftTimeLimitExceeded


@shared_task(base=TellingTask, name="cut", time_limit=0.2)
def cut() -> None:
    threading.Event().wait(60)


@shared_task(base=TellingTask, name="dies", reject_on_worker_lost=False)
def dies() -> None:
    os._exit(3)
