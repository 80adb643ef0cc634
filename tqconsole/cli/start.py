"""What the start screen says where no cluster was found: what was looked for, what is offered."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from tqconsole.engine.brokers import BROKERS
from tqconsole.engine.brokers.resolution import APP_VARIABLES, BROKER_VARIABLES, known_workers
from tqconsole.screens.start import StartChoice, StartFacts

if TYPE_CHECKING:
    from tqconsole.engine.app import App

#: Brokers that may answer on this machine: scheme -> usual port.
_USUAL_PORTS = {"redis": 6379, "amqp": 5672}
#: Seconds for a port of this machine to answer; one that is there does at once.
_PORT_WAIT_S = 0.1


def start_facts(app: App, demo_choice: str) -> StartFacts:
    """Return what was looked for and what is offered, nothing if a broker was named.

    `demo_choice` is what comes back when the demo is picked.
    """
    resolved = app.broker_resolved
    if not resolved.is_default:
        return StartFacts()
    named = [name for name in (*BROKER_VARIABLES, *APP_VARIABLES) if os.environ.get(name)]
    looked_for = (
        ("-b, -A", "not given"),
        (", ".join((*BROKER_VARIABLES, *APP_VARIABLES)), ", ".join(named) or "not set"),
        ("pyproject.toml [tool.tqconsole]", "names no broker"),
        (f"embedded queue, {resolved.reason}", resolved.url),
    )
    demo = StartChoice(demo_choice, "Demo", "two workers and real tasks in a temporary folder")
    return StartFacts(looked_for, (*_elsewhere(resolved.url), *_answering(), demo))


def _elsewhere(here: str) -> list[StartChoice]:
    """Offer the other embedded queues of this machine on which a worker lives."""
    urls: dict[str, list[str]] = {}
    for worker in known_workers(os.environ):
        if worker.url != here:
            urls.setdefault(worker.url, []).append(worker.worker_name)
    return [StartChoice(url, url, f"{', '.join(names)} alive") for url, names in urls.items()]


def _answering() -> list[StartChoice]:
    """Offer the brokers that answer on localhost, of the kinds that we speak."""
    choices = []
    for scheme, port in _USUAL_PORTS.items():
        if scheme in BROKERS and _answers(port):
            choices.append(StartChoice(f"{scheme}://localhost:{port}//", scheme, f"port {port}"))
    return choices


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), _PORT_WAIT_S):
            return True
    except OSError:
        return False
