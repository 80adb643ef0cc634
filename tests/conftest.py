"""What every test stands on: nobody's settings, a state folder, and a RabbitMQ on demand."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.rows_ran import RowsRan

#: The same examples in every run, however busy the machine: what fails here fails again.
settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")


def pytest_configure(config: pytest.Config) -> None:
    """Have whole runs look whether every test ran that the page of features names."""
    if not hasattr(config, "workerinput"):
        page = Path(__file__).parent.parent / "docs" / "features.md"
        config.pluginmanager.register(RowsRan(page), "rows-ran")


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


@pytest.fixture(scope="session")
def rabbitmq_vhosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Iterator[str]]:
    """Fresh virtual hosts of one server for all tests of this process."""
    from tests.servers.brokers_up import make_vhosts, rabbitmq_up

    def fresh() -> Iterator[str]:
        for first in itertools.count(0, 25):
            yield from make_vhosts(server, first, 25)

    with rabbitmq_up(tmp_path_factory.mktemp("rabbitmq")) as server:
        yield fresh()
