"""The command line: choose, run, print, write.

python -m benchmarks                 every workload in 25 minutes, into docs/performance.md
python -m benchmarks --quick         the main ratios in under three minutes
python -m benchmarks --workloads drain,trip --brokers redis --peers ours,celery --repeats 5
"""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import session
from benchmarks.facts import machine_facts
from benchmarks.fairness import FAIRNESS
from benchmarks.listening import LISTENING
from benchmarks.report import BROKERS, table_lines, target_lines, write_page
from benchmarks.results import Results, load
from benchmarks.scaling import SCALING
from benchmarks.servers import Servers
from benchmarks.session import Plan
from benchmarks.standing import STANDING
from benchmarks.targets import judge
from benchmarks.values import Key
from benchmarks.workflows import WORKFLOWS
from benchmarks.workloads import CORE, PEERS, Workload, counts_in_words

WORKLOADS: tuple[Workload, ...] = (
    *CORE,
    *STANDING,
    *FAIRNESS,
    *LISTENING,
    *SCALING,
    *WORKFLOWS,
)
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
#: The quick run: a tenth of the work, and no run begins that would end after so many seconds.
_QUICK_SCALE, _QUICK_BUDGET_S = 0.1, 150.0
#: The full one: rounds, as far as they fit into so many seconds.
_REPEAT_COUNT, _BUDGET_S = 3, 1500.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line: 0 when all runs of ours gave figures, 1 otherwise."""
    parser = _parser()
    options = parser.parse_args(arguments)
    workloads = [it for it in WORKLOADS if it.name in options.workloads]
    if options.report_from:
        results = _loaded(parser, options.report_from)
    else:
        results = _measured(parser, options, workloads)
    if options.json:
        results.save(options.json)
    for line in _printed(results):
        print(line)
    page = options.output or (None if options.quick else PAGE)
    if page:
        write_page(page, results, WORKLOADS)
        print(f"written: {page}")
    ours = [series for key, series in results.series.items() if key.peer == "ours"]
    return int(any(reason != session.OUT_OF_TIME for it in ours for reason in it.failures))


def _measured(
    parser: argparse.ArgumentParser, options: argparse.Namespace, workloads: Sequence[Workload]
) -> Results:
    budget_s = options.budget or (_QUICK_BUDGET_S if options.quick else _BUDGET_S)
    plan = Plan(
        workloads,
        options.brokers,
        options.peers,
        options.repeats,
        options.scale or (_QUICK_SCALE if options.quick else 1.0),
        options.quick,
        budget_s,
    )
    if not list(plan.groups()):
        parser.error("nothing to run: no workload of these is for these brokers and peers")
    results = Results(machine_facts())
    results.facts["Rounds"] = f"{plan.repeat_count} at most, within {budget_s:,.0f} s"
    results.facts["Counts"] = counts_in_words(plan.scale)
    with (
        tempfile.TemporaryDirectory(prefix="tq-bench-") as folder,
        Servers(Path(folder)) as servers,
    ):
        try:
            session.run(plan, servers, results, _tell)
        except KeyboardInterrupt:
            print("interrupted: what was measured until now follows", file=sys.stderr)
    return results


def _tell(number: str, key: Key, said: str) -> None:
    print(f"{number} {key.workload} {key.broker} {key.peer}: {said}", file=sys.stderr, flush=True)


def _printed(results: Results) -> list[str]:
    lines = [f"{name}: {value}" for name, value in results.facts.items()]
    for workload in WORKLOADS:
        for broker in BROKERS:
            table = list(table_lines(results, workload, broker))
            if table:
                lines += ["", f"{workload.title}: {BROKERS[broker]}", *table]
    judged = [verdict for verdict in judge(results) if verdict.value is not None]
    return [*lines, "", *target_lines(judged)] if judged else lines


def _loaded(parser: argparse.ArgumentParser, path: Path) -> Results:
    try:
        return load(path)
    except (OSError, ValueError, KeyError) as error:
        parser.error(f"{path} holds no results: {error!r}")


def _parser() -> argparse.ArgumentParser:
    names = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="the main ratios, in under 3 minutes")
    for option, known in (("workloads", names), ("brokers", list(BROKERS)), ("peers", list(PEERS))):
        parser.add_argument(
            f"--{option}",
            type=functools.partial(_choices, known=known),
            default=known,
            metavar="A,B",
            help=f"of {', '.join(known)}; all by default",
        )
    parser.add_argument("--repeats", type=_positive, default=_REPEAT_COUNT, help="rounds (3)")
    parser.add_argument("--scale", type=_share, help="so much of the full work: 0.1 is a tenth")
    parser.add_argument(
        "--budget",
        type=_share,
        metavar="SECONDS",
        help="fill so many (1500; quick 150)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the results there")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"the page, else {PAGE.name}")
    parser.add_argument(
        "--report-from", type=Path, metavar="FILE", help="measure nothing: report a kept file"
    )
    return parser


def _choices(text: str, known: Sequence[str]) -> list[str]:
    chosen = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in chosen if word not in known]
    if unknown or not chosen:
        raise argparse.ArgumentTypeError(
            f"unknown: {', '.join(unknown) or repr(text)}; choose of {', '.join(known)}"
        )
    return chosen


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number above 0")
    return number


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
