from __future__ import annotations

from collections.abc import Iterator

import pytest

from tqconsole.engine import current


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable of the caller's and no app of another test decides anything here."""
    for name in (
        "CELERY_BROKER_URL",
        "CELERY_BROKER_READ_URL",
        "CELERY_BROKER_WRITE_URL",
        "CELERY_CONFIG_MODULE",
        "CELERY_RESULT_BACKEND",
        "CELERY_TRACE_APP",
        "TQCONSOLE_BROKER",
    ):
        monkeypatch.delenv(name, raising=False)
    yield
    current.set_current_app(None)
    current.set_default_app(None)
