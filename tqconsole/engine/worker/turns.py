"""Asks the shared store for the turns of rates that all workers keep together.

A chore of the loop: a store that fails costs time, never a rate.
"""

from __future__ import annotations

from collections.abc import Sequence

from tqconsole.engine.backends.base import Backend
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import ImproperlyConfigured, NotSupportedError, OperationalError
from tqconsole.engine.worker.machine import Machine
from tqconsole.engine.worker.machine_options import TaskPolicy

#: Between two looks for rates that wait, seconds.
TURNS_S = 0.05
_PREFIX = "tq-rate-"


class Turns:
    """Turns for one worker's machine."""

    def __init__(self, machine: Machine, backend: Backend, clock: Clock) -> None:
        self._machine = machine
        self._backend = backend
        self._clock = clock

    def take(self) -> None:
        """Take turns for what waits. Raises: OperationalError; the next look tries again."""
        for name, bucket in self._machine.shared_rates():
            count = bucket.wanted_count
            in_s = self._backend.take_turns(f"{_PREFIX}{name}", count, bucket.step_s)
            bucket.grant(self._clock.mono() + in_s, count)


def check_shared(policies: Sequence[TaskPolicy], backend: Backend) -> bool:
    """Return True when a task has a rate of the whole cluster.

    Raises: ImproperlyConfigured where the store cannot keep one.
    """
    names = [policy.task_name for policy in policies if policy.is_rate_shared]
    if not names:
        return False
    try:
        backend.take_turns(f"{_PREFIX}{names[0]}", 0, 1.0)
    except NotSupportedError as error:
        raise ImproperlyConfigured(
            f"rate_limit_scope='cluster' of task {names[0]}: {error}"
        ) from error
    except OperationalError:
        pass  # it is away for now; `take` will be told so
    return True
