"""Settings, under the names that they had before Celery 4."""

from __future__ import annotations

import os

from kombu import Exchange, Queue

BROKER_URL = os.environ.get("SHOP_BROKER", "redis://localhost:6379/0")
CELERY_RESULT_BACKEND = BROKER_URL
CELERY_TASK_RESULT_EXPIRES = 3600

CELERY_TASK_SERIALIZER = "shop-json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["shop-json", "json"]

CELERY_DEFAULT_QUEUE = "shop"
CELERY_QUEUES = (
    Queue("shop", Exchange("shop"), routing_key="shop"),
    Queue("mail", Exchange("post", type="topic"), routing_key="mail.#"),
)
CELERY_ROUTES = {
    "shop.tasks.send_mail": {"queue": "mail", "routing_key": "mail.customer"},
    "shop.tasks.stock_*": "shop",
}
CELERY_ANNOTATIONS = {
    "*": {"max_retries": 4},
    "shop.tasks.stock_count": {"rate_limit": "50/s"},
}

CELERY_TRACK_STARTED = True
CELERY_SEND_EVENTS = True
CELERYD_PREFETCH_MULTIPLIER = 2
CELERYD_CONCURRENCY = 2
CELERY_TIMEZONE = "Europe/Oslo"
