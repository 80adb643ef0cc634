from __future__ import annotations

import pytest

from tqconsole.engine.brokers.redis.keys import Keys, envelope_of, tail_of
from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.protocol.transfer import ExchangeSpec
from tqconsole.engine.redis_server.address import locate


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://", "redis:127.0.0.1:6379/0"),
        ("redis://localhost", "redis:127.0.0.1:6379/0"),
        ("redis://host:7000/3", "redis:host:7000/3"),
        ("rediss://host/2", "redis:host:6379/2"),
        ("redis://host?virtual_host=4", "redis:host:6379/4"),
        ("redis+socket:///run/redis.sock?virtual_host=5", "redis:/run/redis.sock/5"),
    ],
)
def test_url_says_server_and_database(url: str, place: str) -> None:
    assert locate(url).place == place


def test_password_is_read_and_never_shown() -> None:
    address = locate("redis://me:s%40cret@host:7000/1")

    assert (address.username, address.password) == ("me", "s@cret")
    assert address.url == "redis://me:**@host:7000/1"
    assert "cret" not in address.place


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://host/queue", "database is a number"),
        ("redis://host:port/1", "port is no number"),
        ("redis+socket://", "socket's path"),
        ("rediss://host?ssl_cert_reqs=maybe", "CERT_REQUIRED"),
        ("redis://host?socket_timeout=soon", "is a number"),
    ],
)
def test_wrong_url_is_refused_in_words(url: str, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        locate(url)


def test_certificates_are_checked_unless_told_otherwise() -> None:
    assert locate("rediss://host").connection["ssl_cert_reqs"] == "required"
    assert locate("rediss://host?ssl_cert_reqs=CERT_NONE").connection["ssl_cert_reqs"] == "none"


def test_every_wait_for_the_server_is_bounded() -> None:
    made = locate("redis://host").connection

    assert 0 < made["socket_timeout"] <= 15
    assert 0 < made["socket_connect_timeout"] <= 15


def test_transport_options_are_those_of_kombu() -> None:
    options = {"global_keyprefix": "app:", "priority_steps": [0, 5], "sep": ":"}
    keys = Keys(locate("redis://host/1", options))

    assert keys.lists("q") == ["app:q", "app:q:5"]
    assert keys.list_for("q", 7) == "app:q:5"
    assert keys.unacked == "app:unacked"
    assert keys.channel("celeryev", "task.sent") == "app:/1.celeryev/task.sent"


@pytest.mark.parametrize(
    ("priority", "name"),
    [(0, "q"), (2, "q"), (3, "q\x06\x163"), (9, "q\x06\x169"), (99, "q\x06\x169"), (-1, "q"),
     (None, "q"), ("high", "q")],
)  # fmt: skip
def test_priority_is_rounded_as_kombu_does(priority: object, name: str) -> None:
    assert Keys(locate("redis://host")).list_for("q", priority) == name


def test_topic_binding_is_written_as_kombu_writes_it() -> None:
    keys = Keys(locate("redis://host"))

    member = keys.member(ExchangeSpec("ex", "topic"), "a.*.b_c.#", "q")

    assert member.split("\x06\x16") == ["a.*.b_c.#", r"^a\.[^\.]+\.b\_c\..*?$", "q"]


def test_entry_gives_its_envelope_and_queue_back() -> None:
    entry = b"[" + b'{"a": [1]}' + tail_of('odd "queue"') + b""

    assert envelope_of(entry) == (b'{"a": [1]}', 'odd "queue"')
    assert envelope_of(b"") == (b"", "")


def test_sentinels_of_a_url_guard_one_master() -> None:
    address = locate("sentinel://me:secret@one:26380/3;sentinel://two", {"master_name": "shop"})

    assert address.guard is not None
    assert address.guard.places == (("one", 26380), ("two", 26379))
    assert (address.username, address.password, address.db) == ("me", "secret", 3)
    assert address.url == "sentinel://me:**@one:26380/3;sentinel://two"
    assert address.place == "redis:master 'shop' of Sentinel one:26380, two:26379/3"


def test_sentinels_are_spoken_to_in_their_own_way() -> None:
    own = {"password": "theirs", "socket_timeout": 2, "ssl": True, "ssl_cert_reqs": "none"}
    options = {"master_name": "shop", "sentinel_kwargs": own}

    guard = locate("sentinel://:ours@one;two:1/0", options).guard

    assert guard is not None
    assert guard.places == (("one", 26379), ("two", 1))
    assert (guard.spoken["password"], guard.spoken["socket_timeout"]) == ("theirs", 2.0)
    assert guard.is_tls
    assert guard.spoken["ssl_cert_reqs"] == "none"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "master_name"),
        ({"master_name": "shop", "sentinel_kwargs": "pw"}, "is a mapping"),
        ({"master_name": "shop", "sentinel_kwargs": {"passwort": "x"}}, "'passwort' is not known"),
        ({"master_name": "shop", "sentinel_kwargs": {"ssl_certs": "x"}}, "not an option of Redis"),
        ({"master_name": "shop", "min_other_sentinels": "few"}, "is a number"),
        ({"master_name": "shop", "credential_provider": "nowhere.Vault"}, "no class"),
        ({"master_name": "shop", "credential_provider": object()}, "get_credentials"),
    ],
)
def test_wrong_options_of_sentinels_are_refused_in_words(
    options: dict[str, object], said: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        locate("sentinel://one/0", options)
