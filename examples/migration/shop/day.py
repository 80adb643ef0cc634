"""One day of the shop, as a client: sends calls of every kind and prints what came of them."""

from __future__ import annotations

import json
import sys
from typing import Any

from shop.celery import app
from shop.money import Money
from shop.tasks import (
    charge,
    charge_twice,
    inventory,
    look_up,
    note,
    price,
    send_mail,
    ship,
    stock_count,
)

PATIENCE_S = 60


def outcome(result: Any) -> list[Any]:
    value = result.get(timeout=PATIENCE_S, propagate=False)
    shown = f"{type(value).__name__}{value.args}" if isinstance(value, Exception) else value
    return [result.state, shown, bool(result.traceback)]


def main() -> None:
    calls = {
        "price": price.delay(Money(250), 3),
        "charge": charge.delay("order-1"),
        "charge twice": charge_twice.delay("order-2"),
        "ship": ship.apply_async(("order-3",), headers={"carrier": "mule"}),
        "ship cursed": ship.delay("cursed"),
        "look up": look_up.delay("order-4"),
        "inventory": inventory.s(3).apply_async(),
        "mail": send_mail.delay("ann@example.com", subject="hello"),
        "mail later": send_mail.apply_async(("bob@example.com",), countdown=0.2),
        "by name": app.send_task("shop.tasks.stock_count", (4,)),
        "linked": price.apply_async((Money(100), 2), link=note.s()),
        "expired": stock_count.apply_async((1,), expires=-1),
    }
    for shelf in range(20):
        calls[f"stock {shelf}"] = stock_count.delay(shelf)
    json.dump({name: outcome(result) for name, result in calls.items()}, sys.stdout)


if __name__ == "__main__":
    main()
