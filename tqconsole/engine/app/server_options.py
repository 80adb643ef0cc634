"""What an app's settings say about the connection to a broker or a result store, as its options.

Celery has settings of their own for what an adapter takes as options: TLS, and the parts of a Redis
store's address. What has no meaning for the server in use is said, once, when it is opened.
"""

from __future__ import annotations

import logging
from typing import Any

from tqconsole.engine.amqp_server.address import DELAYED_QUEUE_TYPE
from tqconsole.engine.redis_server.tls import USE_SSL
from tqconsole.engine.settings import Settings

logger = logging.getLogger(__name__)

#: Setting of a Redis store -> the adapter's option.
_STORE = {
    "redis_backend_credential_provider": "credential_provider",
    "redis_backend_use_ssl": USE_SSL,
    "redis_db": "db",
    "redis_host": "host",
    "redis_password": "password",
    "redis_port": "port",
    "redis_retry_on_timeout": "retry_on_timeout",
    "redis_socket_connect_timeout": "socket_connect_timeout",
    "redis_socket_keepalive": "socket_keepalive",
    "redis_socket_timeout": "socket_timeout",
    "redis_username": "username",
}
_REDIS = ("redis", "rediss")
_AMQP = ("amqp", "amqps", "pyamqp", "librabbitmq")
#: Schemes whose links can be encrypted.
_SECURABLE = _REDIS + _AMQP


def broker_options(conf: Settings, url: str) -> dict[str, Any]:
    """Return the options for the broker behind `url`: the transport's, and what settings add."""
    options = dict(conf.broker_transport_options or {})
    scheme = _scheme(url)
    if conf.broker_use_ssl and scheme in _SECURABLE:
        options.setdefault(USE_SSL, conf.broker_use_ssl)
    elif conf.broker_use_ssl:
        logger.warning("broker_use_ssl has no meaning for %s: nothing is encrypted", scheme)
    if scheme in _REDIS:
        options.setdefault("socket_connect_timeout", conf.broker_connection_timeout)
    if scheme in _AMQP:
        options.setdefault("connect_timeout", conf.broker_connection_timeout)
        if conf.broker_login_method:
            options.setdefault("login_method", conf.broker_login_method)
        options.setdefault(DELAYED_QUEUE_TYPE, conf.broker_native_delayed_delivery_queue_type)
        options.setdefault("heartbeat", conf.broker_heartbeat or 0)
        options.setdefault("heartbeat_checkrate", conf.broker_heartbeat_checkrate)
    return options


def rpc_options(conf: Settings, url: str) -> dict[str, Any]:
    """Return the options for results that travel through the broker behind `url`."""
    return {
        **broker_options(conf, url),
        **(conf.result_backend_transport_options or {}),
        "result_expires": conf.result_expires,
        "result_persistent": conf.result_persistent,
    }


def backend_options(conf: Settings, url: str | None) -> dict[str, Any]:
    """Return the options for the result store behind `url`."""
    options = dict(conf.result_backend_transport_options or {})
    scheme = _scheme(url or "")
    if not scheme.startswith(("redis", "sentinel")):
        if conf.redis_backend_use_ssl:
            logger.warning(
                "redis_backend_use_ssl has no meaning for %s results", scheme or "disabled"
            )
        return options
    for setting, option in _STORE.items():
        if conf.value_set_for(setting) and conf[setting] is not None:
            options.setdefault(option, conf[setting])
    if conf.redis_max_connections:
        logger.warning(
            "redis_max_connections has no meaning here: a process has one connection to its store,"
            " and one more for each thread that waits for results"
        )
    if scheme == "redis+socket" and options.pop(USE_SSL, None):
        logger.warning("redis_backend_use_ssl has no meaning for a socket of this machine")
    return options


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()
