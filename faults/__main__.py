"""The command line: choose, run, print, record.

python -m faults --list                                   what there is
python -m faults                                          all of it, at the volume of each commit
python -m faults T-KILL T-CUT --broker redis --depth night --seed 7
python -m faults T-KILL --depth release --record docs/reliability.md

What waits most of the time runs on its brokers at once, and at the end, in a process for each
broker, what holds no times. Exit code 0 when every promise held, 1 when one did not.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from faults.apart import parted, run_apart, write_outcome
from faults.places import BROKERS
from faults.record import Suite, record, record_suite
from faults.runner import Order, Outcome, is_whole, run_all
from faults.scenario import DEPTHS, ENGINES, IN_PROCESS
from faults.table import SCENARIOS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.fault_id:10} {scenario.what} ({', '.join(scenario.brokers)})")
        return 0
    order = _order(parser, options)
    # Told to stop it stops its workers and servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    outcomes: list[Outcome] = []
    suite = Suite.begin(order) if options.record and not (options.ids or options.broker) else None
    here, lanes = (order, ()) if options.json else parted(order)
    for outcome in chain(run_all(here), run_apart(lanes)):
        print(*outcome.lines, sep="\n", flush=True)
        outcomes.append(outcome)
        if options.json:
            write_outcome(options.json, outcome)
        if options.record:
            record(options.record, outcome, SCENARIOS)
    if suite is not None:
        record_suite(options.record, suite.ended(outcomes), SCENARIOS)
    return 0 if is_whole(outcomes) else 1


def _order(parser: argparse.ArgumentParser, options: argparse.Namespace) -> Order:
    unknown = [it for it in options.ids if it not in SCENARIOS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; choose of {', '.join(SCENARIOS)}")
    scenarios = [SCENARIOS[it] for it in options.ids or SCENARIOS]
    brokers = [options.broker] if options.broker else [*BROKERS, IN_PROCESS]
    order = Order(scenarios, options.engine, brokers, options.depth, options.seed)
    if not list(order.pairs()):
        named = ", ".join(options.ids) or "no id"
        parser.error(
            f"nothing to run: {named} with --engine {options.engine} --broker {options.broker};"
            " --list says which broker each runs on, and the embedded one has no other engine"
        )
    return order


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="of the scenarios; all by default")
    parser.add_argument("--list", action="store_true", help="say what there is, run nothing")
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0])
    parser.add_argument(
        "--broker", choices=(*BROKERS, IN_PROCESS), help="one; by default each a scenario runs on"
    )
    parser.add_argument("--depth", choices=DEPTHS, default=DEPTHS[0], help="how much of it")
    parser.add_argument(
        "--seed",
        type=int,
        default=random.SystemRandom().randrange(10**6),
        help="what the chances are drawn from; printed with each case",
    )
    parser.add_argument(
        "--record", type=Path, metavar="PAGE", help="write the figures into this page of the docs"
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="add each outcome to this file, as JSON on a line; everything runs in this process",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
