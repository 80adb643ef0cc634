"""`tqconsole list`: what the broker and the app know of queues."""

from __future__ import annotations

from tqconsole.cli import exits
from tqconsole.cli.invocation import Invocation
from tqconsole.cli.verb import VerbGroup
from tqconsole.cli.verb import verb as make_verb


@make_verb("bindings")
def bindings(invocation: Invocation) -> int:
    """List queues with the exchange and key that lead to each: the app's, then those that the
    broker lists beside them (a queue is always reached by its own name).
    """
    app = invocation.cluster()
    declared = {queue.name: queue for queue in app.queues()}
    rows = [
        (queue.name, queue.exchange.name, queue.routing_key or queue.name)
        for queue in declared.values()
    ]
    rows += [(name, "", name) for name in app.broker.queue_names() if name not in declared]
    output = invocation.output
    if output.is_json:
        keys = ("queue", "exchange", "routing_key")
        output.json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        output.table(["QUEUE", "EXCHANGE", "ROUTING KEY"], rows)
    return exits.OK


verb = VerbGroup("list", help="List what the broker knows.", commands=[bindings])
