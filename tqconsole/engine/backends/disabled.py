"""The store that keeps nothing: what an app has when no result backend is configured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from tqconsole.engine.backends.base import Backend, Watch
from tqconsole.engine.exceptions import NotSupportedError
from tqconsole.engine.protocol.transfer import ResultWrite


class DisabledBackend(Backend):
    """Drops what is stored and refuses to be asked, as Celery's does."""

    is_enabled = False
    is_readable_by_others = False

    def __init__(self, url: str = "disabled:", options: dict[str, Any] | None = None) -> None:
        del url, options  # the same constructor as every store; there is nothing to set

    @property
    def url(self) -> str:
        """As Celery's banner has it."""
        return "disabled://"

    def rides_on(self, place: str) -> bool:
        """Never; there is nothing to write."""
        del place
        return False

    def store(self, writes: Sequence[ResultWrite]) -> None:
        """Drop them."""

    def fetch(self, task_ids: Sequence[str]) -> dict[str, bytes]:
        """Raise NotSupportedError: nobody can know."""
        self._refuse()

    def forget(self, task_ids: Sequence[str]) -> None:
        """Raise NotSupportedError."""
        self._refuse()

    def watch(self, task_ids: Sequence[str], reply_to: str) -> Watch:
        """Raise NotSupportedError."""
        self._refuse()

    def put(self, key: str, value: bytes, expires_s: float | None) -> None:
        """Raise NotSupportedError."""
        self._refuse()

    def get(self, key: str) -> bytes | None:
        """Raise NotSupportedError."""
        self._refuse()

    def delete(self, keys: Sequence[str]) -> None:
        """Raise NotSupportedError."""
        self._refuse()

    def close(self) -> None:
        """Nothing is open."""

    @staticmethod
    def _refuse() -> NoReturn:
        raise NotSupportedError(
            "No result backend is configured. Set result_backend (or --result-backend URL)."
        )
