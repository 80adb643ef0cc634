"""One run as a coroutine: what the asyncio pool's slots run.

The same steps as in `run.py`, with an await in their middle. A task that is a plain function has
none: it goes through `run_here`, in a thread. What is cancelled leaves no outcome: the pool tells.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from tqconsole.engine import current, states
from tqconsole.engine.exceptions import RefusedError
from tqconsole.engine.middleware.base import Run
from tqconsole.engine.middleware.chain import Plan
from tqconsole.engine.middleware.chords import refuse_twin
from tqconsole.engine.middleware.defaults import default_chain
from tqconsole.engine.pools.steering import find_steering
from tqconsole.engine.protocol.header import wire_headers
from tqconsole.engine.protocol.limits import Reason
from tqconsole.engine.protocol.task import decode_body
from tqconsole.engine.worker.outcome import Outcome
from tqconsole.engine.worker.payload import RunPayload
from tqconsole.engine.worker.request import request_of
from tqconsole.engine.worker.run import RunnerHub, TaskRunner, failed_machinery, outcome_of_run


class AwaitingTaskRunner(TaskRunner):
    """Runs `async def` tasks in the loop that calls it: an `AwaitingRunner` of the pool's."""

    def __init__(self, app: RunnerHub, hostname: str) -> None:
        super().__init__(app, hostname, default_chain(app, ends_coroutines=False))

    def __call__(self, payload: Any) -> Any:
        """Run what does not await."""
        return self.run_here(payload)

    def start_child(self) -> None:
        """Set up the loop's thread."""
        current.share_thread()
        super().start_child()

    def awaits(self, payload: RunPayload) -> bool:
        """Return True for a task that is `async def`."""
        try:
            name = str(wire_headers(payload.message).task)
        except RefusedError:
            return False  # whoever runs it says so
        task = self._app.tasks.get(name)
        return task is not None and inspect.iscoroutinefunction(task.run)

    async def run_awaited(self, payload: RunPayload) -> Outcome:
        """Run one task. Raises nothing but the cancellation that was asked for."""
        try:
            return await self._awaited_outcome(payload)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - logged there
            return failed_machinery(error)

    async def _awaited_outcome(self, payload: RunPayload) -> Outcome:
        current.begin_awaited_run()
        try:
            body = decode_body(payload.message, self._app.accept_content)
            request = request_of(payload, body)
        except RefusedError as error:
            return Outcome(states.REJECTED, 0.0, text=error.detail, note=str(error.reason))
        name = str(request.task)
        task = self._app.tasks.get(name)
        if task is None:
            return Outcome(states.REJECTED, 0.0, text=name, note=Reason.UNKNOWN_TASK.value)
        if request.ignore_result is None:
            request.ignore_result = bool(task.ignore_result)
        run = Run(task, request, payload.redelivered)
        plan = self._chain.plan_of(task)
        current.set_current_app(self._app)
        current.push_task(task)
        task.push_request(request)
        try:
            await self._perform_awaited(run, plan)
            return outcome_of_run(run, is_told=payload.is_told)
        finally:
            task.pop_request()
            current.pop_task()
            if run.einfo is not None:
                run.einfo.forget_frames()

    async def _perform_awaited(self, run: Run, plan: Plan) -> None:
        try:
            await self._await(run, plan)
        except asyncio.CancelledError as error:
            me = asyncio.current_task()
            if me is not None and me.cancelling():
                raise
            self._end(run, plan, error)
        except BaseException as error:  # noqa: BLE001 - the run's end, whatever it is
            self._end(run, plan, error)
        else:
            self._succeed(run, plan)
        self._finish(run, plan)

    async def _await(self, run: Run, plan: Plan) -> None:
        began_mono = self._clock.mono()
        try:
            if run.request.headers:
                refuse_twin(self._app, run.request)
            for hook in plan.before_run:
                hook(run)
            request, steering = run.request, find_steering()
            coroutine = plan.function(*request.args, **request.kwargs)
            run.value = await (coroutine if steering is None else steering.around(coroutine))
        finally:
            run.runtime_s = self._clock.mono() - began_mono
