"""A client in a process of its own, which may be killed: `python -m faults.client WHAT`.

`publish` sends calls one by one and notes each in the ledger, until it is killed; `ask` asks the
workers for a sign of life likewise; `fork` publishes in threads while it forks children that
publish too, and ends with 1 when one of them hangs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import uuid

from faults.ledger import WORK, Ledger
from tqconsole.engine import App

_FORK_COUNT, _THREAD_COUNT = 20, 50
#: Between two calls of a thread, in seconds: together they leave others their share of a machine.
_PAUSE_S = 0.2
#: Seconds after which a child that has not ended hangs.
_HANGS_S = 10.0


def _publish_one(app: App, ledger: Ledger) -> None:
    task_id = str(uuid.uuid4())
    ledger.tried([task_id])
    app.send_task(WORK, (0.0,), task_id=task_id)
    ledger.published([task_id])


def _publish(app: App, ledger: Ledger) -> int:
    while True:
        _publish_one(app, ledger)


def _ask(app: App, ledger: Ledger) -> int:
    del ledger
    while True:
        app.control.ping(timeout=1.0, limit=1)


def _fork(app: App, ledger: Ledger) -> int:
    is_over = threading.Event()
    # What is imported at the first call must be there: Python itself waits for ever in the child of
    # a fork for a module that another thread was importing.
    _publish_one(app, ledger)

    def publish_until_over() -> None:
        while not is_over.wait(_PAUSE_S):
            _publish_one(app, ledger)

    threads = [threading.Thread(target=publish_until_over) for _ in range(_THREAD_COUNT)]
    for thread in threads:
        thread.start()
    hanging_count = 0
    for _ in range(_FORK_COUNT):
        # Meanwhile each of the threads has sent something.
        time.sleep(_PAUSE_S)
        hanging_count += not _has_forked_well(app, ledger)
    is_over.set()
    for thread in threads:
        thread.join()
    return int(hanging_count > 0)


def _has_forked_well(app: App, ledger: Ledger) -> bool:
    child_pid = os.fork()
    if child_pid == 0:
        try:
            _publish_one(app, ledger)
        finally:
            os._exit(0)
    until_mono = time.monotonic() + _HANGS_S
    while time.monotonic() < until_mono:
        if os.waitpid(child_pid, os.WNOHANG)[0]:
            return True
        time.sleep(0.01)
    os.kill(child_pid, signal.SIGKILL)
    os.waitpid(child_pid, 0)
    return False


_WHAT = {"publish": _publish, "ask": _ask, "fork": _fork}


def main() -> int:
    """Do what the command line says, with the place of the environment."""
    app = App("storm", set_as_current=False)
    app.conf.update(
        broker_url=os.environ["STORM_BROKER"], result_backend=os.environ["STORM_BACKEND"]
    )
    return _WHAT[sys.argv[1]](app, Ledger.from_environment())


if __name__ == "__main__":
    sys.exit(main())
