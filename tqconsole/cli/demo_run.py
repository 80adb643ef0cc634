"""Runs the demo: its cluster, and on top of it the console or, without a terminal, the counts."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tqconsole.cli.exits import FAILED, OK
from tqconsole.cli.output import Output
from tqconsole.core.demo import tasks
from tqconsole.core.demo.cluster import DemoCluster, place_of
from tqconsole.core.demo.headless import DEFAULT_S, HeadlessDemo
from tqconsole.core.demo.traffic import DemoTraffic
from tqconsole.engine.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from tqconsole.core.session import Session
    from tqconsole.core.setup import Setup
    from tqconsole.engine import App


#: Where the demo is to run: (broker URL, result store's URL), None for its own file.
Named = tuple[str | None, str | None]


def count_demo(
    output: Output, duration_s: float | None, directory: str | None, named: Named
) -> int:
    """Run the demo without a screen, print what it counted, and return the exit code.

    Raises: OperationalError when its workers do not come up.
    """
    with _folder(directory) as folder:
        place = place_of(folder, *named)
        report = HeadlessDemo(folder, place, duration_s or DEFAULT_S, SYSTEM_CLOCK).run()
    if output.is_json:
        output.json(report.as_dict())
    else:
        for line in report.lines():
            output.line(line)
    return OK if report.is_good else FAILED


def show_demo(
    directory: str | None = None,
    named: Named = (None, None),
    *,
    theme: str | None = None,
    is_ascii: bool | None = None,
    setup: Setup | None = None,
) -> int:
    """Run the demo under the console until that is left, and return the exit code.

    Its files are temporary unless `directory` names a place to keep them.
    """
    with _folder(directory) as folder, tasks.app as app:
        place = place_of(folder, *named)
        app.conf.update(broker_url=place.broker_url, result_backend=place.backend_url)
        # A broker that is not there is told before a worker looks for it.
        app.broker.connect()
        with DemoCluster(folder, place, SYSTEM_CLOCK):
            return _show(app, theme, setup, is_ascii=is_ascii)


def _show(app: App, theme: str | None, setup: Setup | None, *, is_ascii: bool | None) -> int:
    # Textual and the console's mind: the headless demo does without.
    from tqconsole.console import run_console  # noqa: PLC0415 - see above

    traffic = DemoTraffic(app, random.Random())  # noqa: S311 - a demo's luck
    traffic.start()
    try:
        return run_console(_session(app), theme=theme, is_ascii=is_ascii, setup=setup)
    finally:
        traffic.stop()


def _session(app: App) -> Session:
    from tqconsole.core.schedules import AppSchedule  # noqa: PLC0415 - as above
    from tqconsole.core.session import Session, SessionOptions  # noqa: PLC0415 - as above

    return Session(
        app.broker,
        app.backend,
        app.control,
        context="demo",
        reason="the demo's own cluster",
        is_demo=True,
        options=SessionOptions(
            default_queue=app.conf.task_default_queue,
            reached_by=("-b", app.broker.url),
            read_tasks=lambda: dict(app.tasks),
            schedule=AppSchedule(lambda: dict(app.conf.beat_schedule), app),
        ),
    )


@contextmanager
def _folder(directory: str | None) -> Iterator[Path]:
    if directory is not None:
        folder = Path(directory).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    made = Path(tempfile.mkdtemp(prefix="tqconsole-demo-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
