"""What a worker says of itself when it starts (features.md 7.2)."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from tqconsole import __version__
from tqconsole.engine.log import one_line
from tqconsole.engine.protocol.transfer import QueueSpec

#: Where Celery has the code name of its release.
_CODENAME = "tqconsole"
_EVENTS_TEXTS = {
    "on": "ON",
    "off": "OFF (enable -E to monitor tasks in this worker)",
    "auto": "AUTO (sent while somebody listens; -E: always)",
}


class Identity(msgspec.Struct, frozen=True):
    """What the banner tells. URLs come with their password masked."""

    hostname: str
    app_text: str
    broker_url: str
    backend_url: str
    concurrency: str
    pool_name: str
    events_mode: str
    queues: Sequence[QueueSpec]
    #: None: they are not listed (log level above INFO).
    task_names: Iterable[str] | None = None


def banner(identity: Identity, started: datetime) -> str:
    """Return the banner, without a line end at its end."""
    lines = [
        f" -------------- {identity.hostname} v{__version__} ({_CODENAME})",
        f" -- {platform.platform()} {started:%Y-%m-%d %H:%M:%S}",
        "",
        " [config]",
        f" .> app:         {identity.app_text}",
        f" .> transport:   {identity.broker_url}",
        f" .> results:     {identity.backend_url}",
        f" .> concurrency: {identity.concurrency} ({identity.pool_name})",
        f" .> task events: {_EVENTS_TEXTS[identity.events_mode]}",
        "",
        " [queues]",
        *(_queue_line(queue) for queue in identity.queues),
    ]
    if identity.task_names is not None:
        lines += ["", " [tasks]", *(f"  . {name}" for name in sorted(identity.task_names))]
    return "\n".join(line if line == "" else one_line(line) for line in lines) + "\n"


def _queue_line(queue: QueueSpec) -> str:
    exchange = queue.exchange.name or queue.name
    key = queue.routing_key or queue.name
    return f" .> {queue.name:<16} exchange={exchange}({queue.exchange.kind}) key={key}"
