"""What every test stands on: nobody's settings, and a state folder of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep the caller's environment, queue and state out of the tests and their processes."""
    for name in list(os.environ):
        if name.startswith(("CELERY_", "TQCONSOLE_")) or name in ("NO_COLOR", "FORCE_COLOR"):
            del os.environ[name]
    state = tmp_path_factory.mktemp("state")
    os.environ["XDG_STATE_HOME"] = str(state)
    os.environ["XDG_CONFIG_HOME"] = str(state / "config")
    return state
