"""The demo's app: a small shop that mails, resizes pictures and builds reports.

Its workers are real ones (`-A tqconsole.core.demo.tasks`); only what the tasks do is made up. Every
task is acknowledged late, so that killing a worker loses nothing.
"""

from __future__ import annotations

import random
from typing import Any

from tqconsole.engine import App
from tqconsole.engine.clock import SYSTEM_CLOCK

#: Queues of the demo; both workers serve them all.
QUEUES = ("celery", "mail", "img", "reports")

app = App("shop", set_as_current=False)
app.conf.update(
    task_acks_late=True,
    task_routes={"mail.*": "mail", "img.*": "img", "report.*": "reports"},
    result_expires=3600,
    worker_prefetch_multiplier=2,
    task_send_sent_event=True,
)


@app.task(name="shop.order")
def order(order_id: int) -> str:
    """Take an order and have a receipt mailed."""
    _work(0.01, 0.04)
    send_mail.delay(f"customer{order_id % 97}@example.org", "receipt")
    return f"order {order_id} taken"


@app.task(name="mail.send", autoretry_for=(ConnectionError,), retry_backoff=1, max_retries=4)
def send_mail(to: str, template: str = "receipt") -> str:
    """Hand a mail to a server that hangs up now and then."""
    _work(0.02, 0.12)
    if random.random() < 0.06:  # noqa: S311 - a demo's luck
        raise ConnectionError("the mail server closed the connection")
    return f"{template} to {to}"


@app.task(name="img.resize")
def resize(image_id: int, kind: str = "thumb") -> str:
    """Resize a picture; one in seven is no picture."""
    _work(0.05, 0.4)
    if image_id % 7 == 0:
        raise OSError(f"cannot identify image file '/srv/upload/{image_id}.png'")
    return f"/srv/{kind}/{image_id}.png"


@app.task(name="report.build", bind=True)
def build_report(self: Any, month: int, page_count: int = 12) -> str:
    """Build a report page by page and tell how far it is."""
    for page in range(page_count):
        self.progress(page, page_count)
        _work(0.4, 0.9)
    self.progress(page_count, page_count)
    return f"report of month {month}, {page_count} pages"


@app.task(name="stats.count")
def count(number: int) -> int:
    """Do next to nothing."""
    return number


def _work(least_s: float, most_s: float) -> None:
    SYSTEM_CLOCK.sleep(random.uniform(least_s, most_s))  # noqa: S311 - a demo's luck
