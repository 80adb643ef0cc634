"""A picture of the cluster made of its events: `app.events.State`, with Celery's attributes.

For users' monitors. (The console has a store of its own in `core/`, made for 100,000 rows.)
Any thread may call `event`; readers who want a picture that holds still use `freeze_while`.
"""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar
from weakref import WeakSet

from tqconsole.engine import states
from tqconsole.engine.events.order import TimeOrder
from tqconsole.engine.events.records import Task as TaskRecord
from tqconsole.engine.events.records import Worker as WorkerRecord

ValueT = TypeVar("ValueT")
ReturnT = TypeVar("ReturnT")
Event = dict[str, Any]

#: Events kept in the order of time, for each task kept: about as many as a task has.
EVENTS_PER_TASK = 4


class Recent(OrderedDict[str, ValueT]):
    """A dict of at most `limit` entries that forgets the one used longest ago."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def __getitem__(self, key: str) -> ValueT:
        value: ValueT = super().__getitem__(key)
        self.move_to_end(key)
        return value

    def __setitem__(self, key: str, value: ValueT) -> None:
        super().__setitem__(key, value)
        while len(self) > self.limit:
            del self[next(iter(self))]

    def peek(self, key: str) -> ValueT | None:
        """Return the entry without using it."""
        return super().__getitem__(key) if key in self else None


class TaskIndex(Mapping[str, "WeakSet[TaskRecord]"]):
    """Key -> tasks; called with a key it yields `(uuid, task)` in the order of time.

    Looked up when asked for: sets that are kept would cost each task more than its own fields.
    """

    def __init__(
        self,
        keys: Callable[[], list[str]],
        ordered: Callable[..., Iterator[tuple[str, TaskRecord]]],
    ) -> None:
        self._keys = keys
        self._ordered = ordered

    def __getitem__(self, key: str) -> WeakSet[TaskRecord]:
        return WeakSet(task for _, task in self._ordered(key, None, reverse=True))

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def __call__(
        self,
        key: str,
        limit: int | None = None,
        reverse: bool = True,  # noqa: FBT001, FBT002 - Celery's signature
    ) -> Iterator[tuple[str, TaskRecord]]:
        """Yield the newest first, or the oldest (`reverse=False`)."""
        return self._ordered(key, limit, reverse=reverse)


class State:
    """Workers and tasks as their events tell. `callback(state, event)` sees each event first."""

    Worker = WorkerRecord
    Task = TaskRecord

    def __init__(
        self,
        callback: Callable[[State, Event], Any] | None = None,
        max_workers_in_memory: int = 5000,
        max_tasks_in_memory: int = 10000,
        on_node_join: Callable[[WorkerRecord], Any] | None = None,
        on_node_leave: Callable[[WorkerRecord], Any] | None = None,
    ) -> None:
        self.event_callback = callback
        self.event_count = 0
        self.task_count = 0
        self.max_workers_in_memory = max_workers_in_memory
        self.max_tasks_in_memory = max_tasks_in_memory
        self.on_node_join = on_node_join
        self.on_node_leave = on_node_leave
        self.workers: Recent[WorkerRecord] = Recent(max_workers_in_memory)
        self.tasks: Recent[TaskRecord] = Recent(max_tasks_in_memory)
        #: Event group -> handler(subject, event) in place of ours.
        self.handlers: dict[str, Callable[[str, Event], Any]] = {}
        self.tasks_by_type = TaskIndex(self.task_types, self._tasks_of_type)
        self.tasks_by_worker = TaskIndex(lambda: list(self.workers), self._tasks_of_worker)
        self._orphans: Recent[WeakSet[TaskRecord]] = Recent(max_tasks_in_memory)
        self._order = TimeOrder(self._origin_of)
        self._seen_types: set[str] = set()
        self._lock = threading.RLock()

    def __repr__(self) -> str:
        return f"<State: events={self.event_count} tasks={self.task_count}>"

    def event(self, event: Event) -> tuple[Any, str] | None:
        """Take note of one event; return ((record, was it new), subject), None if unusable."""
        with self._lock:
            self.event_count += 1
            if self.event_callback is not None:
                self.event_callback(self, event)
            group, _, subject = str(event.get("type", "")).partition("-")
            handler = self.handlers.get(group)
            if handler is not None:
                return handler(subject, event), subject
            if group == "worker" and "hostname" in event:
                return self._worker_event(subject, event), subject
            if group == "task" and event.get("uuid"):
                return self._task_event(subject, event), subject
            return None

    def freeze_while(
        self,
        function: Callable[..., ReturnT],
        *args: Any,
        clear_after: bool = False,
        **kwargs: Any,
    ) -> ReturnT:
        """Call `function` while no event is taken in; then forget all if `clear_after`."""
        with self._lock:
            try:
                return function(*args, **kwargs)
            finally:
                if clear_after:
                    self.clear()

    def clear(self, ready: bool = True) -> None:  # noqa: FBT001, FBT002 - Celery's signature
        """Forget workers, counts and ended tasks (`ready=False`: all tasks)."""
        with self._lock:
            self.workers.clear()
            self.clear_tasks(ready)
            self.event_count = self.task_count = 0

    def clear_tasks(self, ready: bool = True) -> None:  # noqa: FBT001, FBT002 - Celery's signature
        """Forget ended tasks (`ready=False`: all)."""
        with self._lock:
            for uuid, task in list(self.tasks.items()):
                if not ready or task.state in states.READY_STATES:
                    del self.tasks[uuid]
            self._order.clear()

    def get_or_create_worker(self, hostname: str, **fields: Any) -> tuple[WorkerRecord, bool]:
        """Return the worker of that name and whether it is new."""
        worker = self.workers.peek(hostname)
        if worker is None:
            worker = self.workers[hostname] = self.Worker(hostname, **fields)
            return worker, True
        worker.update(fields)
        return worker, False

    def get_or_create_task(self, uuid: str) -> tuple[TaskRecord, bool]:
        """Return the task of that id and whether it is new."""
        task = self.tasks.peek(uuid)
        if task is not None:
            return task, False
        task = self.tasks[uuid] = self.Task(uuid, cluster_state=self)
        return task, True

    def itertasks(self, limit: int | None = None) -> Iterator[tuple[str, TaskRecord]]:
        """Yield `(uuid, task)` as they lie, at most `limit`."""
        return islice(list(self.tasks.items()), limit)

    def tasks_by_time(
        self,
        limit: int | None = None,
        reverse: bool = True,  # noqa: FBT001, FBT002 - Celery's signature
    ) -> Iterator[tuple[str, TaskRecord]]:
        """Yield `(uuid, task)`, newest first unless `reverse` is False."""
        return islice(self._in_order(reverse=reverse), limit)

    tasks_by_timestamp = tasks_by_time

    def task_types(self) -> list[str]:
        """Return the names of all tasks seen, sorted."""
        return sorted(self._seen_types)

    def alive_workers(self) -> Iterator[WorkerRecord]:
        """Yield the workers whose heartbeat is young enough."""
        return (worker for worker in list(self.workers.values()) if worker.alive)

    def _worker_event(self, subject: str, event: Event) -> tuple[WorkerRecord, bool]:
        hostname = str(event["hostname"])
        is_offline = subject == "offline"
        worker = self.workers.peek(hostname)
        is_new = worker is None and not is_offline
        if worker is None:
            worker = self.Worker(hostname)
            if is_new:
                self.workers[hostname] = worker
        worker.event(subject, event.get("timestamp"), event.get("local_received"), event)
        if self.on_node_join is not None and (is_new or subject == "online"):
            self.on_node_join(worker)
        if is_offline and self.on_node_leave is not None:
            self.on_node_leave(worker)
            self.workers.pop(hostname, None)
        return worker, is_new

    def _task_event(self, subject: str, event: Event) -> tuple[TaskRecord, bool]:
        task, is_new = self.get_or_create_task(str(event["uuid"]))
        hostname = sys.intern(str(event.get("hostname", "")))
        timestamp, local_received = event.get("timestamp"), event.get("local_received")
        if subject == "sent":
            task.client = hostname
        else:
            worker, _ = self.get_or_create_worker(hostname)
            task.worker = worker
            worker.event(None, timestamp, local_received)
        if subject == "received":
            self.task_count += 1
        self._order.note(task.uuid, event.get("clock"), event.get("timestamp"))
        self._order.limit(self.max_tasks_in_memory * EVENTS_PER_TASK)
        task.event(subject, timestamp, local_received, event)
        if task.name is not None:
            self._seen_types.add(task.name)
        self._relate(task)
        return task, is_new

    def _origin_of(self, uuid: str) -> str:
        task = self.tasks.peek(uuid)
        return "" if task is None else task.origin or ""

    def _relate(self, task: TaskRecord) -> None:
        """Join children to their parent, whichever of them was heard of first."""
        orphans = self._orphans.pop(task.uuid, None)
        if orphans:
            task.children.update(orphans)
        if not task.parent_id:
            return
        parent = self.tasks.peek(task.parent_id)
        if parent is not None:
            parent.children.add(task)
        else:
            self._orphans.setdefault(task.parent_id, WeakSet()).add(task)

    def _in_order(self, *, reverse: bool) -> Iterator[tuple[str, TaskRecord]]:
        for uuid in self._order.uuids(reverse=reverse):
            task = self.tasks.peek(uuid)
            if task is not None:
                yield uuid, task

    def _tasks_of_type(
        self, name: str, limit: int | None, *, reverse: bool
    ) -> Iterator[tuple[str, TaskRecord]]:
        found = (pair for pair in self._in_order(reverse=reverse) if pair[1].name == name)
        return islice(found, limit)

    def _tasks_of_worker(
        self, hostname: str, limit: int | None, *, reverse: bool
    ) -> Iterator[tuple[str, TaskRecord]]:
        found = (
            pair
            for pair in self._in_order(reverse=reverse)
            if pair[1].worker is not None and pair[1].worker.hostname == hostname
        )
        return islice(found, limit)
