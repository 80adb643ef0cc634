"""T-FUZZ as a scenario: in process by the million, end to end on each broker."""

from __future__ import annotations

from faults.fuzz import inside, outside
from faults.scenario import IN_PROCESS, Case, Report, Scenario


def run(case: Case) -> Report:
    """Run the part that belongs to the case's broker."""
    return inside.run(case) if case.broker == IN_PROCESS else outside.run(case)


FUZZED = Scenario(
    "T-FUZZ",
    "hostile messages: 94 shapes, bombs that inflate past the limit, mutations of Celery's own",
    goal="0 exits, 0 reconnects, 0 hangs, no code runs, each refused message is a dead letter with"
    " its reason and its bytes, the next good task runs",
    fails_when="the reader lets an error of its own out; pickle is accepted; a refused message is"
    " acknowledged instead of buried",
    run=run,
    brokers=(IN_PROCESS, "redis", "rabbitmq", "sqlite"),
)
