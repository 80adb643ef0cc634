"""Settings of Celery's that mean nothing here, and why: none is taken in silence.

A worker says so once at its start, for those that somebody has set to something else than their
default. `tests/engine/test_settings_told.py` holds that every setting either works or is in here.
"""

from __future__ import annotations

from typing import Any

from tqconsole.engine.serialization import content_types
from tqconsole.engine.settings import Settings
from tqconsole.engine.settings_table import SETTINGS

_BEAT = "there is no beat in this version"
_SIGNING = "messages are not signed in this version: nothing is checked"
_STORE = "it belongs to a result store that this version does not have"
_PART = "workers here are built of other parts"

#: Setting -> why it means nothing.
UNHEEDED: dict[str, str] = {
    "broker_channel_error_retry": "an error of a channel never ends a worker",
    "result_exchange": "results that are sent go to the caller's own queue",
    "result_exchange_type": "results that are sent go to the caller's own queue",
    "task_protocol": "messages are written in version 2, which every Celery since 4.0 reads",
    "task_remote_tracebacks": "the text of a traceback is in `result.traceback`",
    "worker_agent": _PART,
    "worker_autoscaler": "there is one autoscaler: --autoscale gives its bounds",
    "worker_cancel_long_running_tasks_on_connection_loss": (
        "what runs goes on: a message that comes back meanwhile is settled as its run was"
    ),
    "worker_consumer": _PART,
    "worker_detect_quorum_queues": "each queue is read as what it is",
    "worker_enable_prefetch_count_reduction": "the window follows what runs, always",
    "worker_enable_soft_shutdown_on_idle": "calls with an ETA go back to the broker at once",
    "worker_eta_task_limit": "calls with an ETA wait in the broker, not in the worker",
    "worker_lost_wait": "the death of a child is known at once",
    "worker_pool_putlocks": "a task is handed to a free child only",
    "worker_timer": _PART,
    "worker_timer_precision": "timers have no step",
}
#: Group of settings -> the same for all of it.
_GROUPS = {
    "arangodb": _STORE,
    "azureblockblob": _STORE,
    "beat": _BEAT,
    "cache": "cache+memory:// needs none, and there are no other caches in this version",
    "cassandra": _STORE,
    "cosmosdbsql": _STORE,
    "couchbase": _STORE,
    "database": _STORE,
    "elasticsearch": _STORE,
    "gcs": _STORE,
    "mongodb": _STORE,
    "s3": _STORE,
    "security": _SIGNING,
}

_UNSTORED = "commands and events wait in no queue there"
_UNRANKED = "every queue there knows priorities without it"
_ONE_KIND = "queues there are of one kind"
_LINK = "it belongs to the links of RabbitMQ"

#: Setting that RabbitMQ alone heeds -> why it means nothing elsewhere.
RABBITMQ_ONLY: dict[str, str] = {
    "broker_heartbeat": _LINK,
    "broker_heartbeat_checkrate": _LINK,
    "broker_login_method": _LINK,
    "broker_native_delayed_delivery_queue_type": _ONE_KIND,
    "control_queue_durable": _UNSTORED,
    "control_queue_exclusive": _UNSTORED,
    "control_queue_expires": _UNSTORED,
    "control_queue_ttl": _UNSTORED,
    "event_queue_durable": _UNSTORED,
    "event_queue_exclusive": _UNSTORED,
    "event_queue_expires": _UNSTORED,
    "event_queue_ttl": _UNSTORED,
    "task_create_missing_queue_type": _ONE_KIND,
    "task_default_queue_type": _ONE_KIND,
    "task_queue_max_priority": _UNRANKED,
}
_RABBITMQ = "amqp"


def why_unheeded(name: str) -> str:
    """Return why a setting means nothing here, "" when it does."""
    return UNHEEDED.get(name) or _GROUPS.get(name.partition("_")[0], "")


def unheeded(conf: Settings, transport: str = _RABBITMQ, store_url: str = "redis:") -> list[str]:
    """Return a line for each setting that somebody has set and that means nothing here.

    `transport` is the broker's, as `Broker.transport` has it.
    """
    changed = [
        name
        for name in sorted(SETTINGS)
        if conf.value_set_for(name) and conf[name] != SETTINGS[name].default
    ]
    return [
        f"{name} = {_shown(name, conf)} means nothing {why}"
        for name in changed
        if (why := _where(name, transport, store_url))
    ]


def _where(name: str, transport: str, store_url: str) -> str:
    """Return where a setting means nothing and why, "" when it means something."""
    if why := why_unheeded(name):
        return f"here: {why}"
    if transport != _RABBITMQ and name in RABBITMQ_ONLY:
        return f"on {transport}: {RABBITMQ_ONLY[name]}"
    if name.startswith("redis_") and not store_url.startswith(("redis", "sentinel")):
        return "here: it belongs to a result store in Redis"
    return ""


def contradictions(conf: Settings) -> list[str]:
    """Return a line for each two settings that cannot both be meant, with the way out."""
    lines = []
    soft_s, hard_s = conf.task_soft_time_limit, conf.task_time_limit
    if soft_s and hard_s and soft_s >= hard_s:
        lines.append(
            f"task_soft_time_limit = {soft_s} never comes before task_time_limit = {hard_s}:"
            " make it lower"
        )
    for written, read in (
        ("task_serializer", "accept_content"),
        ("result_serializer", "result_accept_content"),
    ):
        accepted = conf[read] or conf.accept_content
        if content_types([conf[written]]).isdisjoint(content_types(accepted)):
            lines.append(
                f"{written} = {conf[written]!r} is not among {read} = {list(accepted)!r}: whoever"
                " shares these settings refuses what is written; add it there"
            )
    return lines


def _shown(name: str, conf: Settings) -> Any:
    shown = conf.table(with_defaults=True)[name]
    text = repr(shown)
    return text if len(text) <= 60 else f"{text[:60]}..."
