"""What all tasks of the shop have in common."""

from __future__ import annotations

from typing import Any

from shop import journal
from tqconsole.engine import Task


class ShopTask(Task):
    """Writes down how its runs end."""

    abstract = True
    autoretry_for = (ConnectionError,)
    default_retry_delay = 0

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        journal.write(f"on_success {self.name} {retval}")

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        journal.write(f"on_retry {self.name} {exc!r}")

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        journal.write(f"on_failure {self.name} {exc!r}")

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        journal.write(f"after_return {self.name} {status}")
