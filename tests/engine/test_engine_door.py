from __future__ import annotations

import subprocess
import sys

import pytest

import tqconsole.engine as engine

HEAVY = ("kombu", "redis", "textual", "rich", "click", "celery", "msgspec", "sqlite3")


def test_all_is_sorted_and_complete() -> None:
    assert engine.__all__ == sorted(engine.__all__)
    assert all(getattr(engine, name) is not None for name in engine.__all__)
    assert dir(engine) == engine.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nosuch"):
        _ = engine.nosuch


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys; from tqconsole.engine import Celery, shared_task; Celery('x').task(print);"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert loaded.stdout.strip() == "[]"
