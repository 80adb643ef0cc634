"""The tasks every app has, by Celery's names: those that its clients send for `map`, `starmap` and
chunks, for a chord whose parts are asked of the store, and for workflows called by name.

They run in a worker like any other task; the inner task must be registered there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tqconsole.engine import canvas, states
from tqconsole.engine.canvas.signature import signature
from tqconsole.engine.exceptions import ChordError
from tqconsole.engine.joining import allow_join_result


def add_builtin_tasks(app: Any) -> None:
    """Make Celery's built-in tasks part of `app`."""

    def inner(call: Mapping[str, Any]) -> Any:
        return signature(dict(call), app=app).type

    def xmap(task: Mapping[str, Any], it: list[Any]) -> list[Any]:
        """Call a task with each item."""
        function = inner(task)
        return [function(item) for item in it]

    def xstarmap(task: Mapping[str, Any], it: list[Any]) -> list[Any]:
        """Call a task with each item's parts as its arguments."""
        function = inner(task)
        return [function(*item) for item in it]

    def chunks(task: Mapping[str, Any], it: list[Any], n: int) -> list[Any]:
        """Call a task as starmap does; `n` was the sender's."""
        return xstarmap(task, it)

    def accumulate(*args: Any, index: int | None = None, **kwargs: Any) -> Any:
        """Return the arguments, or the one at `index`."""
        return args if index is None else args[index]

    def backend_cleanup() -> None:
        """Drop the results that have expired; what beat sends once a day."""
        app.backend.cleanup()

    tasks = {
        "celery.backend_cleanup": backend_cleanup,
        **_workflows(app),
        "celery.map": xmap,
        "celery.starmap": xstarmap,
        "celery.chunks": chunks,
        "celery.accumulate": accumulate,
    }
    for name, function in tasks.items():
        app.task_from_function(function, {"name": name})
    options = {"name": "celery.chord_unlock", "bind": True, "ignore_result": True}
    app.task_from_function(unlock_chord, {**options, "max_retries": None})


def _workflows(app: Any) -> dict[str, Callable[..., Any]]:
    def group(tasks: list[Any], *_: Any, partial_args: Any = (), **__: Any) -> Any:
        """Send calls that run side by side."""
        return canvas.group(tasks, app=app).apply_async(tuple(partial_args))

    def chain(tasks: list[Any]) -> Any:
        """Send calls that run one after the other."""
        return canvas.chain(*tasks, app=app).apply_async()

    def chord(header: Any, body: Any, partial_args: Any = (), **_: Any) -> Any:
        """Send calls that run side by side, and what they end in."""
        parts = header["kwargs"]["tasks"] if isinstance(header, Mapping) else header
        return canvas.chord(parts, body, app=app).apply_async(tuple(partial_args))

    return {"celery.group": group, "celery.chain": chain, "celery.chord": chord}


def unlock_chord(
    self: Any,
    group_id: str,
    callback: Any,
    interval: float | None = None,
    max_retries: int | None = None,
    result: Any = (),
    **_: Any,
) -> None:
    """Call what a chord ends in when its parts have ended, as a client of Celery's asks for where
    its store does not count them; look again every `interval` seconds until then.
    """
    from tqconsole.engine.result import result_from_tuple  # noqa: PLC0415 - slow to import

    app = self.app
    parts = app.GroupResult(group_id, [result_from_tuple(part, app) for part in result])
    if not parts.ready():
        pause_s = app.conf.result_chord_retry_interval if interval is None else interval
        raise self.retry(countdown=pause_s, max_retries=max_retries)
    body = signature(callback, app=app)
    try:
        with allow_join_result():
            values = parts.join(timeout=app.conf.result_chord_join_timeout)
    except Exception as error:  # noqa: BLE001 - as the comment says
        # Whatever a part raised is what the body fails with; nothing else would tell of it.
        from tqconsole.engine.middleware.chords import fail_body  # noqa: PLC0415 - few need it
        from tqconsole.engine.middleware.fallout import ReturnedPart  # noqa: PLC0415 - as above

        failed = ChordError(f"Dependency of chord {group_id} raised {error!r}")
        failed.__cause__ = error
        request = self.request
        part = ReturnedPart(
            request.id, group_id, None, request.root_id or request.id, body, states.FAILURE, error
        )
        app.publish(fail_body(app, part, body, failed))
    else:
        body.apply_async((values,))
