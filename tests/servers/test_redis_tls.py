"""TLS as Celery's settings and URLs ask for it, with a redis-server that lets nobody in without."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from brokers_up import free_port, redis_up
from celery import Celery

from tqconsole.engine.app import App
from tqconsole.engine.exceptions import EngineError, ImproperlyConfigured

pytestmark = [pytest.mark.server]

_DAYS = "2"


@dataclass(frozen=True)
class Secured:
    """A server with a plain and a TLS port, and the files that open the latter."""

    plain_port: int
    port: int
    folder: Path

    def file(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def options(self) -> dict[str, Any]:
        return {
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
            "ssl_ca_certs": self.file("ca.pem"),
            "ssl_certfile": self.file("client.pem"),
            "ssl_keyfile": self.file("client.key"),
        }

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    _openssl(folder, "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-days", _DAYS,
             "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem")  # fmt: skip
    for name in ("server", "client"):
        _openssl(folder, "req", "-nodes", "-newkey", "rsa:2048", "-subj", f"/CN={name}",
                 "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
        (folder / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1\n")
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                 "-CAcreateserial", "-days", _DAYS, "-extfile", f"{name}.ext",
                 "-out", f"{name}.pem")  # fmt: skip
    port = free_port()
    options = ["--tls-port", str(port), "--tls-auth-clients", "yes"]
    options += ["--tls-cert-file", str(folder / "server.pem")]
    options += ["--tls-key-file", str(folder / "server.key")]
    options += ["--tls-ca-cert-file", str(folder / "ca.pem")]
    with redis_up(folder / "redis", *options) as server:
        yield Secured(server.port, port, folder)


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def app_with(url: str, **settings: Any) -> App:
    return App("a", broker=url, backend=url, set_as_current=False, **settings)


def test_settings_of_celery_secure_broker_and_store(secured: Secured) -> None:
    settings = {"broker_use_ssl": secured.options, "redis_backend_use_ssl": secured.options}
    ours = app_with(secured.url, **settings)
    theirs = Celery("b", broker=secured.url, backend=secured.url, set_as_current=False, **settings)

    sent = ours.send_task("add", (1, 2), queue="both")

    with theirs.connection_for_read() as connection:
        waiting = connection.SimpleQueue("both")
        assert waiting.get(timeout=5).headers["id"] == sent.id
    theirs.backend.store_result(sent.id, 3, "SUCCESS")
    assert sent.get(timeout=5) == 3
    assert ours.broker.url.startswith("rediss://")
    assert ours.backend.rides_on(ours.broker.place)
    ours.close()
    theirs.close()


def test_url_alone_says_it_all(secured: Secured) -> None:
    options = {**secured.options, "ssl_cert_reqs": "CERT_REQUIRED"}
    words = "&".join(f"{name}={value}" for name, value in options.items())
    app = app_with(f"{secured.url.replace('redis', 'rediss', 1)}?{words}")

    app.broker.connect()

    app.close()


def test_worker_waits_by_its_bell_through_tls(secured: Secured) -> None:
    app = app_with(secured.url, broker_use_ssl=secured.options)
    consumer = app.broker.consumer([app.queues()[0]], "w1@here")
    assert consumer.exchange(wanted=1) == []

    app.send_task("add", (1, 2), ignore_result=True)

    assert consumer.wait(5)
    assert [it.message.headers["task"] for it in consumer.exchange(wanted=1)] == ["add"]
    consumer.close()
    app.close()


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("ssl_ca_certs", "ssl_ca_certs=/path"),
        ("ssl_certfile", "want a certificate of ours|wants a certificate of ours"),
    ],
)
def test_missing_half_is_named(secured: Secured, without: str, said: str) -> None:
    options = {name: value for name, value in secured.options.items() if name != without}
    if without == "ssl_certfile":
        del options["ssl_keyfile"]
    app = app_with(secured.url, broker_use_ssl=options)

    with pytest.raises(EngineError, match=said):
        app.broker.connect()

    app.close()


def test_true_asks_for_a_certificate_that_is_known(secured: Secured) -> None:
    app = app_with(secured.url, broker_use_ssl=True)

    with pytest.raises(ImproperlyConfigured, match="nobody here vouches for"):
        app.broker.connect()

    app.close()


def test_tls_to_a_plain_server_says_so(secured: Secured) -> None:
    url = f"redis://127.0.0.1:{secured.plain_port}/0"
    app = app_with(url, broker_use_ssl=secured.options, broker_connection_timeout=0.3)

    with pytest.raises(EngineError, match="does it speak TLS at all"):
        app.broker.connect()

    app.close()


def test_plain_words_to_a_tls_server_hint_at_it(secured: Secured) -> None:
    app = app_with(secured.url)

    with pytest.raises(EngineError, match="rediss://"):
        app.broker.connect()

    app.close()
