"""The tasks that functional tests call. Each worker process imports this."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

from tqconsole.engine import signals
from tqconsole.engine.app import App
from tqconsole.engine.exceptions import Ignore, Reject


def note(path: str, text: str) -> None:
    """Append a line with one write, so that lines of many processes never mix."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{text}\n".encode())
    os.close(descriptor)


def wait_for(path: str) -> None:
    pause = threading.Event()
    while not Path(path).exists():
        pause.wait(0.01)


def make_app(url: str) -> App:  # noqa: C901, PLR0915 - one flat list of tasks
    app = App("functional", broker=url)

    @signals.worker_before_create_process.connect(weak=False)
    def tell_child(**_: Any) -> None:
        os.environ["FORK_WAS_TOLD"] = "yes"

    @app.task(name="fork_was_told")
    def fork_was_told() -> str | None:
        return os.environ.get("FORK_WAS_TOLD")

    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    @app.task(name="xsum")
    def xsum(numbers: list[int]) -> int:
        return sum(numbers)

    @app.task(name="hold_number")
    def hold_number(ledger: str, gate: str, number: int) -> int:
        note(ledger, f"hold {number}")
        wait_for(gate)
        return number

    @app.task(name="alone", unique_key="{2}")
    def alone(ledger: str, gate: str, number: int) -> int:
        return hold_number(ledger, gate, number)

    @app.task(name="together", unique_key="{2}", unique_policy="join")
    def together(ledger: str, gate: str, number: int) -> int:
        return hold_number(ledger, gate, number)

    @app.task(name="fail")
    def fail(text: str) -> None:
        raise ValueError(text)

    @app.task(name="expected", throws=(KeyError,))
    def expected() -> None:
        raise KeyError("x")

    @app.task(name="retry", bind=True, max_retries=3)
    def retry(self: Any, path: str) -> str:
        note(path, f"run {self.request.retries}")
        if self.request.retries < 2:
            raise self.retry(countdown=0.05)
        return "at last"

    @app.task(name="ignore")
    def ignore() -> None:
        raise Ignore

    @app.task(name="reject", acks_late=True)
    def reject() -> None:
        raise Reject("no", requeue=False)

    @app.task(name="hold")
    def hold(ledger: str, gate: str) -> str:
        note(ledger, "hold")
        wait_for(gate)
        return "released"

    @app.task(name="hold_late", acks_late=True)
    def hold_late(ledger: str, gate: str) -> str:
        note(ledger, "hold_late")
        wait_for(gate)
        return "released"

    @app.task(name="die_first", bind=True)
    def die_first(self: Any, ledger: str) -> int:
        note(ledger, f"die_first {self.request.retries}")
        if self.request.retries == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return int(self.request.retries)

    @app.task(name="spawn")
    def spawn() -> int:
        import multiprocessing

        context = multiprocessing.get_context("fork")
        results = context.SimpleQueue()
        process = context.Process(target=results.put, args=(os.getpid(),))
        process.start()
        process.join()
        return int(results.get()) + int(process.exitcode or 0)

    @app.task(name="die", acks_late=True)
    def die(ledger: str) -> None:
        note(ledger, "die")
        os.kill(os.getpid(), signal.SIGKILL)

    @app.task(name="die_once", acks_late=True)
    def die_once(ledger: str) -> str:
        note(ledger, "die_once")
        if Path(ledger).read_text().count("die_once") == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return "survived"

    @app.task(name="die_early")
    def die_early() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @app.task(name="limited", rate_limit="5/s")
    def limited() -> None:
        """Do nothing, five times a second at most."""

    @app.task(name="rare", rate_limit="1/m")
    def rare() -> None:
        """Do nothing, once a minute at most."""

    @app.task(name="mark")
    def mark(*args: Any) -> None:
        note(str(args[-1]), f"mark {args[0]}")

    @app.task(name="shout")
    def shout(text: str) -> None:
        print(text)  # noqa: T201 - what it is for

    return app
