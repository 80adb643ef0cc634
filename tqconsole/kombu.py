"""Makes `sqlite:///abs/queue.db` a broker URL of kombu, and so of every real Celery application.

    import tqconsole.kombu  # in the module that makes the Celery app
    app = Celery("shop", broker="sqlite:////var/lib/shop/queue.db")

Importing it adds the alias; without the import kombu takes the class by its path, as the keyword
`transport="tqconsole.kombu:Transport"` of `kombu.Connection`.

Other than on RabbitMQ or Redis:
- Celery's workers do not mingle or gossip here (they do so by a fixed list of transports).
- A late-acknowledged task that kills its Celery worker comes back each time: kombu does not say
  what was started, so such deaths are not counted.
- What is rejected without requeue is kept as a dead letter.
- Commands, replies and events reach who listens when they are sent; no queue stores them.
- There are no headers exchanges, no bindings between exchanges, and no queue length limits.
"""

from __future__ import annotations

from kombu.transport import TRANSPORT_ALIASES

from tqconsole.engine.embedded.kombu_transport import Transport

__all__ = ["ALIAS", "Transport"]

#: The scheme of the URLs; kombu has none of this name.
ALIAS = "sqlite"

TRANSPORT_ALIASES[ALIAS] = "tqconsole.engine.embedded.kombu_transport:Transport"
