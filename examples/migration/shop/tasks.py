"""What the shop does."""

from __future__ import annotations

from typing import Any

from shop.celery import app
from shop.money import Money
from tqconsole.engine import shared_task
from tqconsole.engine.exceptions import Ignore, Reject
from tqconsole.engine.log import get_task_logger

logger = get_task_logger(__name__)


@app.task
def price(unit: Money, count: int) -> str:
    """Take an argument that only the shop's serialiser can carry."""
    logger.info("pricing %s of %s", count, unit)
    return str(unit.times(count))


@app.task(bind=True)
def charge(self: Any, order: str) -> str:
    """Succeed at the third attempt, by the base class's `autoretry_for`."""
    if self.request.retries < 2:
        raise ConnectionError(f"the bank hung up on {order}")
    return f"{order} charged after {self.request.retries} retries"


@app.task(bind=True, max_retries=1)
def charge_twice(self: Any, order: str) -> None:
    """Give up after the retries that the annotations allow."""
    raise self.retry(exc=ValueError(f"{order}: no money"), countdown=0)


@app.task(acks_late=True)
def ship(order: str) -> str:
    if order == "cursed":
        raise Reject("nobody ships that", requeue=False)
    return f"{order} shipped"


@app.task(throws=(KeyError,))
def look_up(order: str) -> None:
    raise KeyError(order)


@app.task(name="shop.tasks.stock_count")
def stock_count(shelf: int) -> int:
    return shelf * 10


@app.task(bind=True)
def inventory(self: Any, shelves: int) -> int:
    """Tell how far it is by a state of its own."""
    for shelf in range(shelves):
        self.update_state(state="COUNTING", meta={"done": shelf})
    return shelves


@app.task
def forget_it() -> None:
    raise Ignore


@shared_task
def send_mail(to: str, subject: str = "news") -> str:
    print(f"mail for {to}")  # noqa: T201 - becomes a line of the worker's log
    return f"{subject} to {to}"


@app.task(ignore_result=True)
def note(text: str) -> str:
    return text
