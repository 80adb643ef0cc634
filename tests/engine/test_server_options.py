"""What Celery's settings about connections come to, and what is said of those without a meaning."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from tqconsole.engine.amqp_server.address import locate as locate_amqp
from tqconsole.engine.app.server_options import backend_options, broker_options, rpc_options
from tqconsole.engine.brokers.amqp.broker import AmqpBroker
from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.redis_server.address import locate
from tqconsole.engine.settings import Settings


def store(url: str, **settings: Any) -> Any:
    return locate(url, backend_options(Settings(settings), url))


def test_settings_give_what_the_url_does_not_name() -> None:
    address = store(
        "redis",
        redis_host="store", redis_port=7000, redis_db=3, redis_username="me",
        redis_password="secret",
    )  # fmt: skip

    assert address.place == "redis:store:7000/3"
    assert (address.username, address.password) == ("me", "secret")
    assert address.url == "redis://store:7000"


def test_url_wins_over_settings() -> None:
    address = store("redis://:own@host:1/2", redis_host="x", redis_db=9, redis_password="y")

    assert address.place == "redis:host:1/2"
    assert address.password == "own"


def test_sockets_of_the_store_are_as_they_were_set() -> None:
    made = store(
        "redis://host",
        redis_socket_timeout=3, redis_socket_connect_timeout=2, redis_socket_keepalive=True,
        redis_retry_on_timeout=True,
    )  # fmt: skip

    assert made.connection["socket_timeout"] == 3
    assert made.connection["socket_connect_timeout"] == 2
    assert made.connection["socket_keepalive"] is True
    assert made.flag("retry_on_timeout", default=False)


def test_nobody_waits_two_minutes_by_default() -> None:
    assert store("redis://host").connection["socket_timeout"] <= 15


def test_connecting_to_a_broker_takes_no_longer_than_told() -> None:
    options = broker_options(Settings({"broker_connection_timeout": 2}), "redis://host")

    assert locate("redis://host", options).connection["socket_connect_timeout"] == 2


@pytest.mark.parametrize("url", ["redis://host/1", "rediss://host/1"])
def test_setting_makes_a_link_secure_whatever_the_url(url: str) -> None:
    conf = Settings({"broker_use_ssl": {"ssl_cert_reqs": "none"}})

    address = locate(url, broker_options(conf, url))

    assert address.is_tls
    assert address.connection["ssl_cert_reqs"] == "none"
    assert address.url == "rediss://host/1"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"ca_certs": "x"}, "write ssl_ca_certs"),
        ({"nonsense": 1}, "nonsense"),
        ({"ssl_ca_certs": "/no/such/file"}, "no file /no/such/file"),
        ({"ssl_cert_reqs": "maybe"}, "CERT_REQUIRED"),
    ],
)
def test_wrong_tls_option_is_refused_in_words(setting: dict[str, Any], said: str) -> None:
    options = broker_options(Settings({"broker_use_ssl": setting}), "redis://host")

    with pytest.raises(ImproperlyConfigured, match=said):
        locate("redis://host", options)


def test_tls_options_in_a_plain_url_are_no_false_comfort() -> None:
    with pytest.raises(ImproperlyConfigured, match="rediss://"):
        locate("redis://host?ssl_cert_reqs=required")


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"redis_backend_use_ssl": True}, "rpc://"),
        ({"redis_max_connections": 5}, "redis://host"),
        ({"redis_backend_use_ssl": True}, "redis+socket:///run/redis.sock"),
    ],
)
def test_setting_without_a_meaning_is_said(
    settings: dict[str, Any], url: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = backend_options(Settings(settings), url)

    assert "no meaning" in caplog.text
    assert "ssl" not in options


def test_tls_of_a_broker_without_links_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert broker_options(Settings({"broker_use_ssl": True}), "sqlite:///q.db") == {}

    assert "broker_use_ssl has no meaning for sqlite" in caplog.text


def test_amqp_is_spoken_to_as_the_settings_say() -> None:
    settings = Settings(
        {
            "broker_heartbeat": 3,
            "broker_connection_timeout": 2,
            "broker_login_method": "AMQPLAIN",
            "broker_use_ssl": {"ca_certs": "/ca.pem", "cert_reqs": ssl.CERT_REQUIRED},
        }
    )

    address = locate_amqp("amqp://host", broker_options(settings, "amqp://host"))

    assert address.seconds("heartbeat", 0) == 3
    assert address.seconds("connect_timeout", 0) == 2
    assert address.options["login_method"] == "AMQPLAIN"
    assert address.tls == {"ca_certs": "/ca.pem", "cert_reqs": ssl.CERT_REQUIRED}
    assert AmqpBroker("amqp://host", address.options).renew_interval_s == 1


def test_dead_amqp_link_is_noticed_soon_by_default() -> None:
    options = broker_options(Settings({}), "amqp://host")

    assert locate_amqp("amqp://host", options).seconds("heartbeat", 0) == 5


def test_rpc_results_know_the_broker_and_their_own_settings() -> None:
    settings = Settings({"result_expires": 60, "result_persistent": True})

    options = rpc_options(settings, "amqp://host")

    assert (options["result_expires"], options["result_persistent"]) == (60, True)
    assert options["heartbeat"] == 5
