"""Money, and a serialiser of the shop's own that carries it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kombu.serialization import register


@dataclass(frozen=True)
class Money:
    cents: int
    currency: str = "EUR"

    def times(self, count: int) -> Money:
        return Money(self.cents * count, self.currency)

    def __str__(self) -> str:
        return f"{self.cents / 100:.2f} {self.currency}"


def dumps(value: Any) -> str:
    return json.dumps(value, default=_plain)


def loads(text: str) -> Any:
    return json.loads(text, object_hook=_money)


def _plain(value: Any) -> Any:
    if isinstance(value, Money):
        return {"cents": value.cents, "currency": value.currency}
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _money(found: dict[str, Any]) -> Any:
    return Money(**found) if set(found) == {"cents", "currency"} else found


register(
    "shop-json", dumps, loads, content_type="application/x-shop-json", content_encoding="utf-8"
)
