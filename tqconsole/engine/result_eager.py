"""The result of a run that took place here and now: nothing to read, nothing to wait for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tqconsole.engine import states
from tqconsole.engine.joining import assert_will_not_block
from tqconsole.engine.protocol.result import ResultRecord
from tqconsole.engine.result_async import AsyncResult


class EagerResult(AsyncResult):
    """The result of a run that took place here: it is there already."""

    def __init__(
        self,
        id: str,
        ret_value: Any,
        state: str,
        traceback: str | None = None,
        name: str | None = None,
        app: Any = None,
    ) -> None:
        super().__init__(id, task_name=name, app=app)
        self._made = ResultRecord(id, state, ret_value, traceback)

    def record(self) -> ResultRecord:
        """Return what the run became."""
        return self._made

    @property
    def is_known(self) -> bool:
        """True: nothing is read."""
        return True

    def ready(self) -> bool:
        """Return True: the run is over."""
        return True

    def exists(self) -> bool:
        """Return True: it is here."""
        return True

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,
        follow_parents: bool = True,
        callback: Callable[[str, Any], Any] | None = None,
        on_message: Callable[[dict[str, Any]], Any] | None = None,
        on_interval: Callable[[], Any] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> Any:
        """Return the value or raise what the run raised; there is nothing to wait for."""
        if disable_sync_subtasks:
            assert_will_not_block()
        if propagate:
            self._raise_own()
        if callback is not None:
            callback(self.id, self._made.result)
        return self._made.result

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        follow_parents: bool = True,
        callback: Callable[[str, Any], Any] | None = None,
    ) -> Any:
        """Return the value or raise what the run raised."""
        return self.get(propagate=propagate, callback=callback, disable_sync_subtasks=False)

    wait = get

    def forget(self) -> None:
        """Nothing was stored."""

    def revoke(self, *args: Any, **kwargs: Any) -> None:
        """Call it revoked; it has run."""
        made = self._made
        self._made = ResultRecord(self.id, states.REVOKED, made.result, made.traceback)

    def __reduce__(self) -> Any:
        made = self._made
        return EagerResult, (self.id, made.result, made.state, made.traceback, self.task_name)

    def __repr__(self) -> str:
        return f"<EagerResult: {self.id}>"
