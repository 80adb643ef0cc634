"""T-CONN: how many connections each role holds, and that links which flap leave nothing behind."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from faults.figures import beyond, p95
from faults.places import Place
from faults.process import connection_count, descendants, descriptor_count, own_bytes, thread_count
from faults.proxy import TcpProxy
from faults.scenario import ENGINES, Beside, Case, Report, Scenario
from faults.site import Site
from faults.stream import Stream

_FLAP_COUNTS = {"ci": 40, "night": 150, "release": 5000}
#: Goals: connections of a worker's main process, of a child, of a client; seconds until work goes
#: on after a cut (p95); memory that may stay for each flap, and what waits for the collector.
_MAIN, _CHILD, _CLIENT = 4, 2, 2
_RESUMED_S = 2.0
_WAITING_BYTES, _FLAP_BYTES = 3 * 2**20, 2**20 / 500
#: A connection that was cut is made again within so many seconds, if it is.
_SETTLED_S = 1.5
_CALLS_PER_S = 100
_PATIENCE_S = 30.0


def _run(case: Case) -> Report:
    flap_count = case.of(_FLAP_COUNTS)
    place = case.places.empty(case.broker)
    port = urlsplit(place.broker_url).port or 0
    # The client is not cut: it is to tell when work goes on.
    with TcpProxy(port) as proxy, Site(case, place) as site:
        url = proxy.url(place.broker_url)
        through = Place(url, place.backend_url, place.redis_port)
        with site.worker("-c", "2", url=url) as process:
            site.wait_for_one()
            with site.another_client("publish", through) as client:
                site.await_published(20, _PATIENCE_S)
                counts = _counts(process.pid, client.pid, proxy.port)
            with Stream(site, per_s=_CALLS_PER_S):
                # The first half fills what is filled once.
                resumed_s = [_flap(site, proxy) for _ in range(flap_count // 2)]
                before = _settled(process.pid, proxy.port)
                resumed_s += [_flap(site, proxy) for _ in range(flap_count // 2)]
                after = _settled(process.pid, proxy.port)
            exit_code = process.poll()
            site.drain()
        account = site.settle()
    grown = [late - early for early, late in zip(before, after, strict=True)]
    figures = dict(zip(("main", "most of a child", "client"), counts, strict=True))
    figures |= {"flaps": flap_count, "fds grown": grown[0], "threads grown": grown[1]}
    shown = {**figures, "KiB grown": grown[2] / 1024, "resumed p95 s": p95(resumed_s)}
    broken = account.not_zero("duplicated")
    broken += beyond(
        {
            "connections of the main process": (counts[0], _MAIN),
            "connections of a child": (counts[1], _CHILD),
            "connections of a client": (counts[2], _CLIENT),
            "fds grown": (grown[0], 0),
            "threads grown": (grown[1], 0),
            "KiB grown": (grown[2] / 1024, (_WAITING_BYTES + flap_count * _FLAP_BYTES) / 1024),
            "resumed p95 s": (p95(resumed_s), _RESUMED_S),
        }
    )
    if exit_code is not None:
        broken.append(f"the worker exited with {exit_code}")
    return Report(account, shown, broken)


def _counts(main_pid: int, client_pid: int, port: int) -> tuple[int, int, int]:
    children = [connection_count(pid, port) for pid in descendants(main_pid)]
    return (
        connection_count(main_pid, port),
        max(children, default=0),
        connection_count(client_pid, port),
    )


def _settled(pid: int, port: int) -> tuple[int, int, int]:
    """Return what a process holds when it has made no connection for a while."""
    known, since_mono = -1, time.monotonic()
    while time.monotonic() - since_mono < _SETTLED_S:
        count = connection_count(pid, port)
        if count != known:
            known, since_mono = count, time.monotonic()
        time.sleep(0.05)
    return descriptor_count(pid), thread_count(pid), own_bytes(pid)


def _flap(site: Site, proxy: TcpProxy) -> float:
    cut_mono = time.monotonic()
    proxy.cut()
    resumed_mono = site.await_new_work(cut_mono, _PATIENCE_S)
    return (resumed_mono or time.monotonic()) - cut_mono


CONN = Scenario(
    "T-CONN",
    "connections are counted by role, then cut again and again",
    goal="main process at most 4, child 2, client 2; no descriptor, thread or memory is left behind"
    " by a cut; work goes on within 2 s",
    fails_when="a lost connection's socket stays open (Redis)",
    run=_run,
    brokers=("redis", "rabbitmq"),
    engines=ENGINES,
    beside=Beside.ITS_BROKERS,
)
