"""What holds for all tests of screens: no clock draws, nothing is animated."""

from __future__ import annotations

import pytest
from textual import constants

from tqconsole.widgets import base_app


@pytest.fixture(autouse=True)
def _still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw frames by hand only (see `driving.settle`)."""
    monkeypatch.setattr(base_app, "FPS", 0.001)
    monkeypatch.setattr(constants, "TEXTUAL_ANIMATIONS", "none")
