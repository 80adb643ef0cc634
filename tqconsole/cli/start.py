"""What the start screen says where no cluster was found: what was looked for, what is offered."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from tqconsole.core.contexts import Context, load_contexts
from tqconsole.core.secrets import masked
from tqconsole.engine.brokers import BROKERS
from tqconsole.engine.brokers.resolution import BROKER_VARIABLES, known_workers
from tqconsole.screens.start import StartChoice, StartFacts

if TYPE_CHECKING:
    from tqconsole.engine.app import App

#: Brokers that may answer on this machine: scheme -> usual port.
_USUAL_PORTS = {"redis": 6379, "amqp": 5672}
#: Seconds for a port of this machine to answer; one that is there does at once.
_PORT_WAIT_S = 0.1


def start_facts(
    app: App, demo_choice: str, context_prefix: str, *, is_app_named: bool
) -> StartFacts:
    """Return what was looked for and what is offered; only the contexts if a broker was named.

    `demo_choice` is what comes back when the demo is picked, `context_prefix` what a context's
    choice begins with. Raises: ContextError.
    """
    resolved = app.broker_resolved
    contexts = context_choices(context_prefix)
    if not resolved.is_default:
        return StartFacts(contexts=contexts)
    answering = _answering()
    looked_for = (
        ("-b, --context", "not given"),
        ("-A", f"{app.main} names no broker" if is_app_named else "not given"),
        ("environment", f"{', '.join(BROKER_VARIABLES)} not set"),
        ("pyproject.toml", "no broker in [tool.tqconsole]"),
        ("contexts.toml", f"{len(contexts)} saved, none of them current" if contexts else "none"),
        ("localhost", ", ".join(_told(choice) for choice in answering) or "nothing answers"),
    )
    demo = StartChoice(demo_choice, "Explore the demo", "real workers and tasks, all temporary")
    return StartFacts(looked_for, (demo, *_elsewhere(resolved.url), *answering), contexts)


def context_choices(prefix: str) -> tuple[StartChoice, ...]:
    """Return the saved contexts, their values after `prefix`. Raises: ContextError."""
    return tuple(
        StartChoice(
            prefix + context.name,
            context.name,
            _note_of(context),
        )
        for context in load_contexts().by_name.values()
    )


def _note_of(context: Context) -> str:
    place = masked(context.broker) if context.broker else f"-A {context.app}"
    return f"{place}   read-only" if context.is_read_only else place


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
            url = f"{scheme}://localhost:{port}//"
            choices.append(StartChoice(url, f"Connect to {scheme}", f"localhost, port {port}"))
    return choices


def _told(choice: StartChoice) -> str:
    scheme, _, rest = choice.value.partition("://")
    return f"{scheme} answers on {rest.strip('/')}"


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), _PORT_WAIT_S):
            return True
    except OSError:
        return False
