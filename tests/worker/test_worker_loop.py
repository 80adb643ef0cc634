"""The loop in a thread, on the memory broker: what it does when broker, store or pool misbehave."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from tqconsole.engine.app import App
from tqconsole.engine.backends.memory import MemoryBackend
from tqconsole.engine.brokers.base import Consumer
from tqconsole.engine.brokers.memory import MemoryBroker
from tqconsole.engine.exceptions import ImproperlyConfigured, OperationalError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import Publication, QueueSpec, ResultWrite
from tqconsole.engine.worker.carrier import Carrier, Rim
from tqconsole.engine.worker.program import WorkerOptions, run_worker
from tqconsole.engine.worker.reading import Reader
from tqconsole.engine.worker.values import Exchange, ExchangeFailed


class FlakyBroker(MemoryBroker):
    """A broker whose consumers fail while `fault` says so."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.fault: Exception | None = None
        self.failed = threading.Event()

    def consumer(self, queues: Sequence[QueueSpec], worker_name: str) -> Consumer:
        consumer = super().consumer(queues, worker_name)
        exchange = consumer.exchange

        def flaky_exchange(*args: Any) -> Any:
            if self.fault is not None:
                self.failed.set()
                raise self.fault
            return exchange(*args)

        consumer.exchange = flaky_exchange  # type: ignore[method-assign]  # the fault to inject
        return consumer


class FlakyBackend(MemoryBackend):
    """A store that refuses the first records."""

    def __init__(self, url: str, failure_count: int) -> None:
        super().__init__(url)
        self.left_count = failure_count
        self.has_failed = threading.Event()

    def store(self, writes: Sequence[ResultWrite]) -> None:
        if self.left_count:
            self.left_count -= 1
            if not self.left_count:
                self.has_failed.set()
            raise OperationalError("the store is away")
        super().store(writes)


class LateBroker(MemoryBroker):
    """A broker whose consumers answer an exchange that hands something over when told to."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.may_answer = threading.Event()
        self.has_begun = threading.Event()

    def consumer(self, queues: Sequence[QueueSpec], worker_name: str) -> Consumer:
        consumer = super().consumer(queues, worker_name)
        reader, writer = os.pipe()
        begin, finish = consumer.begin, consumer.finish

        def begin_late(settled: Any, started: Any, *rest: Any) -> None:
            begin(settled, started, *rest)
            if started:
                self.has_begun.set()
                threading.Thread(target=self._answer, args=(writer,)).start()
            else:
                os.write(writer, b"!")

        def finish_late() -> Any:
            os.read(reader, 1)
            return finish()

        consumer.begin, consumer.finish = begin_late, finish_late  # type: ignore[method-assign]  # its answers come by the pipe
        consumer.fileno = lambda: reader  # type: ignore[method-assign]  # as above
        consumer.__class__ = type("Late", (type(consumer),), {"answers_later": True})
        return consumer

    def _answer(self, writer: int) -> None:
        self.may_answer.wait(60)
        os.write(writer, b"!")


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return f"memory://{request.node.name}"


def make_app(url: str, **given: Any) -> App:
    app = App(
        "loop",
        broker=given.pop("broker", url),
        backend=given.pop("backend", f"cache+{url}"),
        set_as_current=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        **given,
    )

    @app.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    @app.task(name="slow", acks_late=True)
    def slow(name: str) -> str:
        GATES[name].wait(20)
        return name

    return app


GATES: dict[str, threading.Event] = {}


@contextmanager
def worker(app: App, **options: Any) -> Iterator[Callable[[], int]]:
    """Run a worker in a thread; hands out what stops it and returns its exit code."""
    codes: list[Any] = []

    def work() -> None:
        try:
            codes.append(run_worker(app, WorkerOptions(hostname="w@t", is_quiet=True, **options)))
        except Exception as error:
            codes.append(error)

    thread = threading.Thread(target=work)
    thread.start()

    def stop() -> Any:
        pause = threading.Event()
        while thread.is_alive():
            # Sent until it is heard: the mailbox opens a moment after the start.
            app.control.shutdown()
            thread.join(0.1)
            pause.wait(0.01)
        return codes[0]

    try:
        yield stop
    finally:
        stop()
        app.close()


def test_run_that_ends_is_heard_while_an_exchange_is_under_way(url: str) -> None:
    broker = LateBroker(url)
    app = make_app(url, broker=broker)
    result = app.send_task("add", (2, 2))
    with worker(app, pool="threads", concurrency=2):
        assert broker.has_begun.wait(20)
        try:
            assert result.get(timeout=20) == 4
        finally:
            broker.may_answer.set()


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_loop_runs_tasks_and_stops(url: str, pool: str) -> None:
    app = make_app(url)
    with worker(app, pool=pool, concurrency=2) as stop:
        assert app.send_task("add", (2, 2)).get(timeout=20) == 4

        assert stop() == 0


@pytest.mark.parametrize("fault", [OperationalError("gone"), ZeroDivisionError("an adapter's bug")])
def test_loop_outlives_a_broker_that_fails(url: str, fault: Exception) -> None:
    broker = FlakyBroker(url)
    app = make_app(url, broker=broker)
    broker.fault = fault
    with worker(app, pool="solo"):
        result = app.send_task("add", (2, 2))
        assert broker.failed.wait(20)

        broker.fault = None

        assert result.get(timeout=20) == 4


def test_wrong_configuration_ends_the_loop(url: str) -> None:
    broker = FlakyBroker(url)
    app = make_app(url, broker=broker)
    broker.fault = ImproperlyConfigured("no such virtual host")
    with worker(app, pool="solo") as stop:
        assert broker.failed.wait(20)

        assert isinstance(stop(), ImproperlyConfigured)


def test_result_is_stored_when_the_store_is_back(url: str) -> None:
    app = make_app(url, backend=FlakyBackend(f"cache+{url}", failure_count=2))
    with worker(app, pool="solo"):
        assert app.send_task("add", (2, 2)).get(timeout=20) == 4


def test_result_is_given_up_where_a_setting_bounds_the_tries(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = FlakyBackend(f"cache+{url}", failure_count=3)
    app = make_app(url, backend=store, result_backend_max_retries=2)
    with worker(app, pool="solo") as stop:
        lost = app.send_task("add", (2, 2))
        assert store.has_failed.wait(20)
        assert app.send_task("add", (3, 3)).get(timeout=20) == 6

        assert stop() == 0
    assert lost.state == "PENDING"
    assert f"1 results are lost ({lost.id})" in caplog.text
    assert MemoryBroker(url).depth("celery").unacked_count in (0, None)


def test_store_that_refuses_does_not_lose_the_message(url: str) -> None:
    app = make_app(url, backend=FlakyBackend(f"cache+{url}", failure_count=1))
    with worker(app, pool="solo") as stop:
        app.send_task("add", (2, 2)).get(timeout=20)

        assert stop() == 0
    assert MemoryBroker(url).depth("celery").unacked_count in (0, None)


def test_threads_run_side_by_side(url: str) -> None:
    GATES[url] = threading.Event()
    app = make_app(url)
    with worker(app, pool="threads", concurrency=2):
        slow = app.send_task("slow", (url,))

        assert app.send_task("add", (1, 1)).get(timeout=20) == 2

        GATES[url].set()
        assert slow.get(timeout=20) == url


def test_no_queue_left_is_told(url: str) -> None:
    app = make_app(url)
    with (
        pytest.raises(ImproperlyConfigured, match="no queue is left"),
    ):
        run_worker(app, WorkerOptions(pool="solo", exclude_queues=["celery"]))


def test_autoscale_needs_a_pool_that_can_grow(url: str) -> None:
    with pytest.raises(
        ImproperlyConfigured,
        match=r"solo cannot be resized\. Take -P prefork",
    ):
        run_worker(make_app(url), WorkerOptions(pool="solo", autoscale=(3, 1)))


def test_bad_rate_of_a_task_is_told_at_the_start(url: str) -> None:
    app = make_app(url)

    @app.task(name="bad", rate_limit="1/d")
    def bad() -> None:
        """Never runs."""

    with pytest.raises(ImproperlyConfigured, match="rate_limit of task bad"):
        run_worker(app, WorkerOptions(pool="solo", is_quiet=True))


def test_signals_of_a_worker_come_in_order(url: str) -> None:
    from tqconsole.engine import signals

    told: list[str] = []
    receivers = []
    for name in ("celeryd_init", "worker_init", "celeryd_after_setup", "worker_ready",
                 "worker_shutdown"):  # fmt: skip

        def receiver(name: str = name, **_: Any) -> None:
            told.append(name)

        getattr(signals, name).connect(receiver, weak=False)
        receivers.append((getattr(signals, name), receiver))
    app = make_app(url)

    with worker(app, pool="solo") as stop:
        app.send_task("add", (1, 1)).get(timeout=20)
        stop()

    for signal, receiver in receivers:
        signal.disconnect(receiver)
    assert told == [
        "celeryd_init", "worker_init", "celeryd_after_setup", "worker_ready", "worker_shutdown",
    ]  # fmt: skip


def test_what_runs_send_leaves_for_the_broker_for_writing(url: str) -> None:
    app = make_app(url, broker_read_url=f"{url}-read", broker_write_url=f"{url}-write")
    publication, result = app.build_call("add", (1, 1), link=app.signature("add", (1,)))
    app.broker.publish([publication])

    with worker(app, pool="solo") as stop:
        assert result.get(timeout=20) == 2
        stop()
        left = app.write_broker.peek("celery", 9)

    assert [message.headers["task"] for message in left] == ["add"]


def test_what_left_for_the_broker_for_writing_leaves_once(url: str) -> None:
    class Refusing:
        is_down = True
        answers_later = False

        def forfeited(self) -> list[str]:
            return []

        def begin(self, *_: Any) -> None:
            if self.is_down:
                raise OperationalError("gone")

        def finish(self) -> list[Any]:
            return []

    consumer, writer = Refusing(), MemoryBroker(url)
    pool: Any = SimpleNamespace(shares_memory=True, is_inline=False)
    stranger: Any = None
    rim = Rim("w@t", consumer, stranger, pool, Reader(frozenset(), None), *[stranger] * 3, writer)
    carrier = Carrier(rim)
    first, second = (Publication(Message(name), "celery") for name in (b"1", b"2"))

    assert carrier.carry_out([Exchange(publications=[first])]) == [ExchangeFailed("gone")]
    consumer.is_down = False
    carrier.carry_out([Exchange(publications=[first, second])])
    carrier.carry_out([Exchange(publications=[first])])

    assert [message.body for message in writer.peek("celery", 9)] == [b"1", b"2", b"1"]


def test_received_and_revoked_are_signalled(url: str) -> None:
    from tqconsole.engine import signals

    told: list[tuple[str, str]] = []

    @signals.task_received.connect
    def on_received(request: Any, **_: Any) -> None:
        told.append(("received", request.task))

    @signals.task_revoked.connect
    def on_revoked(request: Any, expired: bool, **_: Any) -> None:
        told.append(("revoked" if not expired else "expired", request.task))

    app = make_app(url)
    expired = app.send_task("add", (1, 1), expires=0.000001)
    with worker(app, pool="solo"):
        app.send_task("add", (1, 1)).get(timeout=20)
        with pytest.raises(Exception, match="expired"):
            expired.get(timeout=20)

    signals.task_received.disconnect(on_received)
    signals.task_revoked.disconnect(on_revoked)
    assert told == [("expired", "add"), ("received", "add")]


def test_what_is_unknown_or_no_task_is_signalled(url: str) -> None:
    from tqconsole.engine import signals

    told: list[tuple[str, dict[str, Any]]] = []

    def on_unknown(**named: Any) -> None:
        told.append(("unknown", named))

    def on_rejected(**named: Any) -> None:
        told.append(("rejected", named))

    signals.task_unknown.connect(on_unknown)
    signals.task_rejected.connect(on_rejected)
    app = make_app(url)
    app.broker.publish([Publication(Message(b"no task"), "celery")])
    unknown = app.send_task("nobody.knows", task_id="u")
    with worker(app, pool="solo"):
        with pytest.raises(Exception, match=r"nobody\.knows"):
            unknown.get(timeout=20)
        app.send_task("add", (1, 1)).get(timeout=20)

    signals.task_unknown.disconnect(on_unknown)
    signals.task_rejected.disconnect(on_rejected)
    by_kind = dict(told)
    assert (by_kind["unknown"]["name"], by_kind["unknown"]["id"]) == ("nobody.knows", "u")
    assert by_kind["unknown"]["message"].headers["task"] == "nobody.knows"
    assert isinstance(by_kind["unknown"]["exc"], Exception)
    assert by_kind["rejected"]["message"].body == b"no task"
    assert "exc" in by_kind["rejected"]
