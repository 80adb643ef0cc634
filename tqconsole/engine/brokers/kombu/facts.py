"""What is known of each of kombu's transports beyond what its class says.

Whoever picks one of them should hear what it costs: which package it needs, whether a killed
worker's messages come back, how often it is asked. Read from kombu's sources, version 5.7.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tqconsole.engine.exceptions import ImproperlyConfigured


@dataclass(frozen=True, slots=True)
class Facts:
    """One transport. `extra` names the extra of ours that brings the `modules` it needs."""

    extra: str = ""
    modules: tuple[str, ...] = ()
    #: An acknowledgement means something to it.
    has_acks: bool = False
    #: What a killed worker had not acknowledged comes back by itself.
    keeps_unacked: bool = False
    #: It can take a message back to where it was, without a copy.
    requeues: bool = False
    has_priorities: bool = False
    #: Looking at a queue that is not there costs nothing and makes none.
    is_cheap: bool = False
    #: Seconds between two looks into a queue that was empty.
    poll_s: float = 1.0
    #: Transport options that are set where the user set none: no look may wait for long.
    options: Mapping[str, Any] = field(default_factory=dict)


_NO_WAIT: Mapping[str, Any] = {"wait_time_seconds": 0}
#: Where 0 means "as long as it likes", or fetches nothing.
_SHORT_WAIT: Mapping[str, Any] = {"wait_time_seconds": 1}

#: Scheme -> what is known of it.
FACTS: dict[str, Facts] = {
    "azureservicebus": Facts(
        "azureservicebus", ("azure.servicebus",), has_acks=True, keeps_unacked=True,
        options=_SHORT_WAIT,
    ),
    "azurestoragequeues": Facts("azurestoragequeues", ("azure.storage.queue",)),
    "confluentkafka": Facts(
        "confluentkafka", ("confluent_kafka",), has_acks=True, options=_SHORT_WAIT
    ),
    "consul": Facts("consul", ("consul",)),
    "etcd": Facts("etcd", ("etcd",)),
    "filesystem": Facts(
        has_acks=True, keeps_unacked=True, requeues=True, is_cheap=True, poll_s=0.1
    ),
    "gcpubsub": Facts(
        "gcpubsub", ("google.cloud.pubsub_v1", "google.cloud.monitoring_v3"), has_acks=True,
        keeps_unacked=True, options=_SHORT_WAIT,
    ),
    "kafka": Facts("confluentkafka", ("confluent_kafka",), has_acks=True, options=_SHORT_WAIT),
    "mongodb": Facts("mongodb", ("pymongo",), has_priorities=True, poll_s=0.5),
    "pgmq": Facts(
        "pgmq", ("pgmq", "psycopg"), has_acks=True, keeps_unacked=True, requeues=True,
        poll_s=0.5, options=_NO_WAIT,
    ),
    "pyro": Facts("pyro", ("Pyro4",), poll_s=0.5),
    "qpid": Facts(
        "qpid", ("qpid", "qpidtoollibs"), has_acks=True, keeps_unacked=True, requeues=True,
        has_priorities=True,
    ),
    "sentinel": Facts(
        has_acks=True, keeps_unacked=True, has_priorities=True, poll_s=0.2
    ),
    "slmq": Facts("slmq", ("softlayer_messaging",), has_acks=True, keeps_unacked=True),
    "sqla": Facts("sqlalchemy", ("sqlalchemy",), is_cheap=True, poll_s=0.2),
    "sqlalchemy": Facts("sqlalchemy", ("sqlalchemy",), is_cheap=True, poll_s=0.2),
    "sqs": Facts(
        "sqs", ("boto3", "botocore"), has_acks=True, keeps_unacked=True, options=_NO_WAIT
    ),
    "zookeeper": Facts("zookeeper", ("kazoo",), has_priorities=True),
}  # fmt: skip


def require_library(scheme: str, facts: Facts) -> None:
    """Make sure that what the transport needs is installed. Raises: ImproperlyConfigured."""
    missing = [name for name in facts.modules if not _is_there(name)]
    if missing:
        raise ImproperlyConfigured(
            f"{scheme}:// needs {' and '.join(missing)}, which is not installed:"
            f" pip install 'tqconsole[{facts.extra}]'"
        )


def _is_there(module_name: str) -> bool:
    try:
        return importlib.util.find_spec(module_name) is not None
    except ModuleNotFoundError:
        # A package above it is missing.
        return False
