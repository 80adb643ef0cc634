"""Makes `sqlite:///abs/queue.db` a broker URL of kombu, and so of every real Celery application.

    import tqconsole.kombu  # in the module that makes the Celery app
    app = Celery("shop", broker="sqlite:////var/lib/shop/queue.db")

Importing it adds the alias; without the import kombu takes the class by its path, as the keyword
`transport="tqconsole.kombu:Transport"` of `kombu.Connection` or Celery's `broker_transport`.
"""

from __future__ import annotations

from kombu.transport import TRANSPORT_ALIASES

from tqconsole.engine.embedded.kombu_transport import Transport

__all__ = ["ALIAS", "Transport"]

#: The scheme of the URLs; kombu has none of this name.
ALIAS = "sqlite"

TRANSPORT_ALIASES[ALIAS] = "tqconsole.engine.embedded.kombu_transport:Transport"
