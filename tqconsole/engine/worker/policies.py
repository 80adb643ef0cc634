"""What the state machine has to know of each task, read off the task classes once at the start."""

from __future__ import annotations

from typing import Any

from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.worker.machine_options import TaskPolicy
from tqconsole.engine.worker.rates import parse_rate
from tqconsole.engine.worker.user_request import check_request


def policies_of(app: Any) -> dict[str, TaskPolicy]:
    """Return task name -> policy for every task of the app.

    Raises: ImproperlyConfigured for a rate that is none, or a Request that is none.
    """
    return {name: _policy(task, app.conf) for name, task in app.tasks.items()}


def _policy(task: Any, conf: Any) -> TaskPolicy:
    acks = task.acks_on_failure_or_timeout is not False
    return TaskPolicy(
        task_name=task.name,
        acks_late=bool(task.acks_late),
        acks_on_failure=bool(_first(task.acks_on_failure, acks)),
        acks_on_timeout=bool(_first(task.acks_on_timeout, acks)),
        # Celery's default is None and means "fail"; ours means "comes back, up to the limit of
        # deaths" (a declared difference). Only a task that says False is failed.
        returns_lost=task.reject_on_worker_lost is not False,
        retries_lost=bool(task.retry_on_worker_lost),
        max_retries=task.max_retries,
        retry_delay_s=float(task.default_retry_delay or 0),
        rate_per_s=None if conf.worker_disable_rate_limits else _rate(task),
        is_rate_shared=_is_shared(task),
        hard_limit_s=_first(task.time_limit, conf.task_time_limit),
        soft_limit_s=_first(task.soft_time_limit, conf.task_soft_time_limit),
        ignores_result=bool(task.ignore_result),
        stores_errors_anyway=bool(task.store_errors_even_if_ignored),
        sends_events=bool(task.send_events),
        has_request=check_request(task),
    )


def _is_shared(task: Any) -> bool:
    if task.rate_limit_scope not in ("worker", "cluster"):
        raise ImproperlyConfigured(
            f"rate_limit_scope of task {task.name} is 'worker' or 'cluster',"
            f" not {task.rate_limit_scope!r}"
        )
    return bool(task.rate_limit_scope == "cluster")


def _rate(task: Any) -> float | None:
    try:
        return parse_rate(task.rate_limit)
    except ValueError as error:
        raise ImproperlyConfigured(f"rate_limit of task {task.name}: {error}") from error


def _first(*values: Any) -> Any:
    """Return the first value that was set."""
    return next((value for value in values if value is not None), None)
