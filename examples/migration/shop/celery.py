"""The shop's app."""

from __future__ import annotations

import shop.money  # registers the serialiser that the configuration names
from tqconsole.engine import Celery

app = Celery("shop", task_cls="shop.base:ShopTask")
app.config_from_object("shop.celeryconfig")
app.autodiscover_tasks(["shop"])

import shop.witness  # noqa: E402, F401 - connects its signals once the app is there

if __name__ == "__main__":
    app.start()
