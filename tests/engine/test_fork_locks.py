"""A fork's child is not kept waiting by a thread that is not there."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tqconsole.engine import App
from tqconsole.engine.clock import LamportClock
from tqconsole.engine.fork_locks import give_lock, own_pid
from tqconsole.engine.signals import Signal


def heard(**_: Any) -> None:
    """A receiver."""


def owners() -> dict[str, tuple[Any, Callable[[], Any]]]:
    app = App("forks", broker="memory://", set_as_current=False)
    signal, clock = Signal(), LamportClock()
    return {
        "app": (app, app.finalize),
        "connections": (app._connections, lambda: app.broker),
        "settings": (app.conf, lambda: app.conf.update(result_expires=5)),
        "signal": (signal, lambda: signal.connect(heard, weak=False)),
        "clock": (clock, clock.forward),
    }


@pytest.mark.parametrize("name", list(owners()))
def test_child_uses_what_another_thread_had_locked(name: str) -> None:
    owner, use = owners()[name]
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with owner.__dict__["_lock"]:
            is_held.set()
            may_go.wait(10)

    holding = threading.Thread(target=hold)
    holding.start()
    is_held.wait(10)
    child_pid = os.fork()
    if child_pid == 0:
        threading.Timer(5, os._exit, (1,)).start()
        try:
            use()
        except BaseException:
            os._exit(2)
        os._exit(0)
    _, status = os.waitpid(child_pid, 0)
    may_go.set()
    holding.join()

    assert status == 0


def test_owner_is_let_go() -> None:
    class Owner:
        pass

    from tqconsole.engine.fork_locks import _given

    before = len(_given)
    owner = Owner()
    give_lock(owner, "_lock")
    assert len(_given) == before + 1

    del owner

    assert len(_given) == before


def test_child_knows_who_it_is() -> None:
    assert own_pid() == os.getpid()
    child_pid = os.fork()
    if child_pid == 0:
        os._exit(int(own_pid() != os.getpid()))

    assert os.waitpid(child_pid, 0)[1] == 0
    assert own_pid() == os.getpid()
