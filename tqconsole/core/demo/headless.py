"""The demo without a terminal: the same cluster, the same deeds, and counts at the end.

It does what a person does in the console: it watches events, kills a worker, sees it gone and its
tasks run elsewhere, finds a task that failed, calls it again with other arguments, and revokes one.
The ledger of what was sent is then held against the stored results: `lost` must be 0.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqconsole.core.demo import tasks
from tqconsole.core.demo.cluster import WORKER_NAMES, DemoCluster, DemoPlace
from tqconsole.core.demo.traffic import DemoTraffic
from tqconsole.engine import App, states
from tqconsole.engine.brokers.base import Subscription
from tqconsole.engine.clock import Clock
from tqconsole.engine.exceptions import OperationalError
from tqconsole.engine.protocol.control import event_mailbox
from tqconsole.engine.protocol.event import decode_events

#: How long workers may take to come up, a dead one to be noticed, the rest to be worked off.
START_S, NOTICE_S, DRAIN_S = 30.0, 30.0, 60.0
#: How long a revoked task that waits for its time in the broker may take to come and be refused.
REVOKED_S = 20.0
#: Pages of the report whose worker is killed: it runs for 1.6 s at least, so it is killed in time.
REPORT_PAGES = 4
#: One look at something that is waited for, every so many seconds.
LOOK_S = 0.05
#: How long it sends when nothing else is said, in seconds.
DEFAULT_S = 20.0
#: Ids asked of the result store in one go.
FETCH_COUNT = 500


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What a headless demo counted. `lost`: sent and confirmed, and no result in the end."""

    sent: int
    done: int
    failed: int
    revoked: int
    dead: int
    lost: int
    events: int
    workers_killed: int
    noticed_gone_s: float
    ran_elsewhere: bool
    revoke_held: bool
    rerun_result: str

    @property
    def is_good(self) -> bool:
        """True when nothing was lost and everything that was tried worked."""
        return bool(
            self.lost == 0
            and self.done
            and self.events
            and self.ran_elsewhere
            and self.revoke_held
            and self.rerun_result
        )

    def as_dict(self) -> dict[str, object]:
        """Return the counts by name."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the report as "name value" lines."""
        return [f"{name.replace('_', ' '):<16} {value}" for name, value in asdict(self).items()]


class HeadlessDemo:
    """One run of the demo in a folder of its own."""

    def __init__(self, folder: Path, place: DemoPlace, duration_s: float, clock: Clock) -> None:
        self._folder = folder
        self._place = place
        self._duration_s = duration_s
        self._clock = clock
        self._event_count = 0
        self._report_id = ""
        #: Nodes that began the report whose worker is killed.
        self._report_nodes: list[str] = []

    def run(self) -> DemoReport:
        """Do it all and return the counts.

        Raises: OperationalError when the broker is away, or a worker does not come up.
        """
        place = self._place
        tasks.app.conf.update(broker_url=place.broker_url, result_backend=place.backend_url)
        # A broker that is not there is told before a worker looks for it.
        tasks.app.broker.connect()
        with DemoCluster(self._folder, place, self._clock) as cluster, tasks.app as app:
            self._await_workers(app, cluster)
            events = app.broker.subscribe(event_mailbox("headless-demo"), ["#"])
            traffic = DemoTraffic(app, random.Random(1), later_s=(1, 3))  # noqa: S311 - a demo
            traffic.start()
            try:
                return self._deeds(app, cluster, traffic, events)
            finally:
                traffic.stop()
                events.close()

    def _deeds(
        self, app: App, cluster: DemoCluster, traffic: DemoTraffic, events: Subscription
    ) -> DemoReport:
        until_mono = self._clock.mono() + self._duration_s
        revoked = tasks.resize.apply_async((3,), countdown=self._duration_s + 5)
        app.control.revoke(revoked.id)
        self._watch(events, self._duration_s / 3)
        report = tasks.build_report.delay(1, REPORT_PAGES)
        self._report_id = report.id
        noticed_gone_s = self._kill_reporter(app, cluster, events)
        broken = tasks.resize.delay(7)
        again = tasks.resize.delay(8)
        self._watch(events, until_mono - self._clock.mono())
        traffic.stop()
        ids = [*traffic.sent_ids, report.id, broken.id, again.id]
        self._await(lambda: not self._open_ids(app, ids), DRAIN_S, events)
        self._await(lambda: revoked.state == states.REVOKED, REVOKED_S, events)
        counts = Counter(self._states(app, ids).values())
        ready_count = sum(counts[state] for state in states.READY_STATES)
        return DemoReport(
            sent=len(ids),
            done=counts[states.SUCCESS],
            failed=counts[states.FAILURE],
            revoked=counts[states.REVOKED],
            dead=len(app.broker.dead_letters()),
            lost=len(ids) - ready_count,
            events=self._event_count,
            workers_killed=1,
            noticed_gone_s=round(noticed_gone_s, 2),
            ran_elsewhere=report.ready() and len(set(self._report_nodes)) > 1,
            revoke_held=revoked.state == states.REVOKED,
            rerun_result=str(again.get(timeout=10)),
        )

    def _await_workers(self, app: App, cluster: DemoCluster) -> None:
        wanted = len(WORKER_NAMES)
        if not self._await(lambda: len(_living(app)) >= wanted, START_S):
            logs = "\n".join(cluster.log_tail(name) for name in WORKER_NAMES)
            raise OperationalError(f"The demo's workers did not come up in {START_S:g} s.\n{logs}")

    def _kill_reporter(self, app: App, cluster: DemoCluster, events: Subscription) -> float:
        """Kill the worker that builds the report; return after how many s it was seen gone."""
        if not self._await(lambda: bool(self._report_nodes), START_S, events):
            raise OperationalError(f"No worker began the demo's report in {START_S:g} s.")
        name = self._report_nodes[0].partition("@")[0]
        cluster.kill(name)
        killed_mono = self._clock.mono()
        self._await(lambda: name not in _living(app), NOTICE_S, events)
        return self._clock.mono() - killed_mono

    def _watch(self, events: Subscription, duration_s: float) -> None:
        """Read events for so long (at least what is there now)."""
        until_mono = self._clock.mono() + duration_s
        while True:
            left_s = max(0.0, until_mono - self._clock.mono())
            self._take_events(events, min(left_s, LOOK_S))
            if left_s <= 0:
                return

    def _take_events(self, events: Subscription, timeout_s: float) -> None:
        for broadcasted in events.receive(timeout_s):
            for event in decode_events(broadcasted.message):
                self._event_count += 1
                is_start = event.get("type") == "task-started"
                if is_start and event.get("uuid") == self._report_id:
                    self._report_nodes.append(str(event.get("hostname")))

    def _await(
        self, is_so: Callable[[], bool], timeout_s: float, events: Subscription | None = None
    ) -> bool:
        until_mono = self._clock.mono() + timeout_s
        while not is_so():
            if self._clock.mono() > until_mono:
                return False
            if events is None:
                self._clock.sleep(LOOK_S)
            else:
                self._take_events(events, LOOK_S)
        return True

    def _open_ids(self, app: App, ids: Sequence[str]) -> list[str]:
        known = self._states(app, ids)
        return [task_id for task_id in ids if known.get(task_id) not in states.READY_STATES]

    def _states(self, app: App, ids: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(ids), FETCH_COUNT):
            records = app.backend.fetch(ids[start : start + FETCH_COUNT])
            found.update((key, json.loads(data)["status"]) for key, data in records.items())
        return found


def _living(app: App) -> set[str]:
    """Return the short names of the workers that live: the broker's word, else their own."""
    if app.broker.capabilities.knows_workers:
        nodes = [worker.worker_name for worker in app.broker.live_workers()]
    else:
        nodes = [node for answer in app.control.ping(timeout=1.0) for node in answer]
    return {node.partition("@")[0] for node in nodes}
