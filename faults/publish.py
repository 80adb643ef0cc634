"""T-PUB: a call that returned is never lost, and no call takes longer than 10 s.

The client's broker is gone, stands still, or says nothing any more; and clients are killed in the
middle of sending.
"""

from __future__ import annotations

import signal
import time
from urllib.parse import urlsplit

from faults.account import Account
from faults.figures import beyond
from faults.places import Place
from faults.proxy import TcpProxy
from faults.scenario import Beside, Case, Report, Scenario
from faults.site import Site
from faults.stream import Stream

_CLIENT_COUNTS = {"ci": 5, "night": 20, "release": 200}
#: Goal: a call ends within so many seconds, and what the machine may take beside, in seconds.
_CALL_S, _SLACK_S = 10.0, 0.5
_PATIENCE_S = 20.0


def _run(case: Case) -> Report:
    figures: dict[str, float | str] = {}
    account = _killed_clients(case, figures)
    broken = account.not_zero()
    if case.broker != "sqlite":
        beside = _silent_broker(case, figures)
        broken += [f"silent broker: {line}" for line in beside.not_zero("duplicated")]
        broken += beyond({"longest call s": (float(figures["longest call s"]), _CALL_S + _SLACK_S)})
        account += beside
    return Report(account, figures, broken)


def _killed_clients(case: Case, figures: dict[str, float | str]) -> Account:
    """Kill clients in the middle of sending; what each was told is sent must run."""
    chance = case.chance()
    client_count = case.of(_CLIENT_COUNTS)
    with Site(case, case.places.empty(case.broker), name="killed") as site:
        for _ in range(client_count):
            before = len(site.reading.refresh().published)
            with site.another_client("publish") as process:
                site.await_published(before + 1, _PATIENCE_S)
                time.sleep(chance.uniform(0.0, 0.2))
                process.send_signal(signal.SIGKILL)
        with site.worker("-c", "2"):
            site.drain()
        account = site.settle()
        figures |= {
            "clients killed": client_count,
            "calls nobody was told of that ran": len(
                (site.reading.tried.keys() - site.reading.published.keys())
                & site.reading.ends.keys()
            ),
        }
    return account


def _silent_broker(case: Case, figures: dict[str, float | str]) -> Account:
    """Send through a link that goes silent, and through one that is cut."""
    place = case.places.empty(case.broker)
    with TcpProxy(urlsplit(place.broker_url).port or 0) as proxy:
        through = Place(proxy.url(place.broker_url), place.backend_url, place.redis_port)
        with Site(case, through, name="silent") as site:
            with Stream(site, per_s=50) as stream:
                for fault in (proxy.silence, proxy.cut):
                    _await_calls(site)
                    fault()
                    _await_calls(site)
            with site.worker("-c", "2"):
                site.drain()
            account = site.settle()
    figures |= {"calls refused": stream.failed_count, "longest call s": stream.longest_s}
    return account


def _await_calls(site: Site) -> None:
    """Wait until a few more calls were tried, however long one takes."""
    enough = len(site.reading.refresh().tried) + 5
    site.wait(lambda: len(site.reading.tried) >= enough, _PATIENCE_S)


PUB = Scenario(
    "T-PUB",
    "clients are killed while they send; their broker says nothing any more",
    goal="what was confirmed is never lost; every call ends within 10 s",
    fails_when="a publish that failed for good is told as sent",
    run=_run,
    beside=Beside.ITS_BROKERS,
)
