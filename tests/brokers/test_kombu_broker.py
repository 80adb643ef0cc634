"""What kombu's transports need beside the contract: their names, their libraries, their bytes."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from kombu import Connection
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.filesystem import Channel as KombusChannel

from tqconsole.engine.brokers import BROKERS, open_broker
from tqconsole.engine.brokers.base import Broker
from tqconsole.engine.brokers.kombu.address import locate
from tqconsole.engine.brokers.kombu.facts import FACTS
from tqconsole.engine.exceptions import ImproperlyConfigured, NotSupportedError, OperationalError
from tqconsole.engine.protocol.message import Message
from tqconsole.engine.protocol.transfer import (
    ExchangeSpec,
    Publication,
    QueueSpec,
    Settlement,
    Verdict,
)
from tqconsole.engine.worker.shortfalls import shortfalls

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def broker(tmp_path: Path) -> Broker:
    return open_broker(f"filesystem://{tmp_path}")


def test_every_transport_of_kombus_has_an_adapter() -> None:
    assert {name.lower() for name in TRANSPORT_ALIASES} <= set(BROKERS)


def test_every_extra_that_is_named_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]

    assert {facts.extra for facts in FACTS.values() if facts.extra} <= set(extras)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqs://", "boto3 and botocore"),
        ("mongodb://localhost/db", "pymongo"),
        ("zookeeper://localhost:2181", "kazoo"),
        ("azureservicebus://policy:key@space", "azure.servicebus"),
    ],
)
def test_missing_library_names_package_and_extra(url: str, words: str) -> None:
    scheme = url.partition(":")[0]

    with pytest.raises(ImproperlyConfigured) as caught:
        open_broker(url)

    assert str(caught.value) == (
        f"{scheme}:// needs {words}, which is not installed: pip install 'tqconsole[{scheme}]'"
    )


def test_missing_library_is_a_usage_error_of_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tqconsole", "-b", "sqs://", "status"],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    assert "pip install 'tqconsole[sqs]'" in done.stderr


def test_folder_of_the_url_is_enough(tmp_path: Path) -> None:
    found = locate(f"filesystem://{tmp_path}").options

    assert found["data_folder_in"] == found["data_folder_out"] == f"{tmp_path}/data"
    assert found["control_folder"] == f"{tmp_path}/control"
    assert found["processed_folder"] == f"{tmp_path}/processed"


def test_folders_of_the_options_win(tmp_path: Path) -> None:
    options = {
        "data_folder_in": f"{tmp_path}/in",
        "data_folder_out": f"{tmp_path}/in",
        "control_folder": f"{tmp_path}/table",
    }

    found = locate("filesystem://", options).options

    assert {name: found[name] for name in options} == options
    assert locate("filesystem:///elsewhere", options).options["data_folder_in"] == f"{tmp_path}/in"


@pytest.mark.parametrize("url", ["filesystem://", "filesystem://relative/folder"])
def test_filesystem_without_a_folder_is_told(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="filesystem:///abs/folder"):
        open_broker(url)


def test_password_is_masked() -> None:
    opened = open_broker("sqla+postgresql://user:secret@host/db")

    assert opened.url == "sqla+postgresql://user:**@host/db"


def test_folder_that_cannot_be_made_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    with (
        open_broker(f"filesystem://{tmp_path}/file") as opened,
        pytest.raises(OperationalError, match="NotADirectoryError"),
    ):
        opened.connect()


def test_server_that_fails_is_an_operational_error(tmp_path: Path) -> None:
    with (
        open_broker(f"sqla+sqlite:///{tmp_path}/missing/queue.db") as opened,
        pytest.raises(OperationalError, match="unable to open database file"),
    ):
        opened.declare(QueueSpec("celery"))


def test_transport_without_fanout_refuses_commands(tmp_path: Path) -> None:
    url = f"sqla+sqlite:///{tmp_path}/queue.db"
    done = subprocess.run(
        [sys.executable, "-m", "tqconsole", "-b", url, "inspect", "ping"],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "sqla:// cannot send one message to many" in done.stderr
    with open_broker(url) as opened:
        assert "no remote control" in shortfalls(opened.transport, opened.capabilities)


def test_page_without_fanout_still_shows_queues(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tqconsole", "-b", f"sqla+sqlite:///{tmp_path}/queue.db"],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "cannot be asked" in done.stdout
    assert "celery" in done.stdout


def test_parking_is_refused(broker: Broker) -> None:
    with (
        broker,
        pytest.raises(NotSupportedError),
    ):
        broker.consumer([QueueSpec("celery")], "w1@here").park([("1", 0.0)])


def test_compressed_body_stays_sealed(broker: Broker) -> None:
    sealed = Message(b"not gzip at all", headers={"id": "a", "compression": "application/x-gzip"})
    with broker:
        consumer = broker.consumer([QueueSpec("celery")], "w1@here")
        broker.publish([Publication(sealed, "celery")])

        delivery = consumer.exchange(wanted=1)[0]
        assert delivery.message.body == sealed.body
        assert delivery.message.headers == sealed.headers

        consumer.close()
        again = broker.consumer([QueueSpec("celery")], "w2@here").exchange(wanted=1)[0]
        assert again.message.headers == sealed.headers


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"body": 1, "properties": {}}', b"\xff\xfe"])
def test_junk_is_handed_on_as_bytes(broker: Broker, tmp_path: Path, junk: bytes) -> None:
    with broker:
        consumer = broker.consumer([QueueSpec("celery")], "w1@here")
        (tmp_path / "data" / "1_junk.celery.msg").write_bytes(junk)

        delivery = consumer.exchange(wanted=1)[0]

        assert delivery.message.content_type == "application/data"
        assert delivery.message.body.startswith(junk[:1])
        consumer.exchange([Settlement(delivery.tag, Verdict.DEAD, "undecodable")])
        assert [it.reason for it in broker.dead_letters("celery")] == ["undecodable"]


def test_kombus_own_reader_understands_our_files(broker: Broker, tmp_path: Path) -> None:
    options = {"data_folder_in": f"{tmp_path}/data", "data_folder_out": f"{tmp_path}/data"}
    with broker:
        broker.publish([Publication(Message(b"[]", headers={"id": it}), "celery") for it in "ab"])

    with Connection("filesystem://", transport_options=options) as connection:
        channel = connection.channel()
        assert isinstance(channel, KombusChannel)
        read = [channel.basic_get("celery", no_ack=True).headers["id"] for _ in "ab"]
        assert read == ["a", "b"]
        assert channel.basic_get("celery") is None


def test_processed_messages_are_kept_when_wanted(tmp_path: Path) -> None:
    with open_broker(f"filesystem://{tmp_path}", {"store_processed": True}) as opened:
        consumer = opened.consumer([QueueSpec("celery")], "w1@here")
        opened.publish([Publication(Message(b"[]"), "celery")])
        delivery = consumer.exchange(wanted=1)[0]

        consumer.exchange([Settlement(delivery.tag, Verdict.ACK)])

        assert len(list((tmp_path / "processed").iterdir())) == 1
        assert list((tmp_path / "data").glob("*.msg")) == []


def test_command_to_a_worker_of_yesterday_is_not_heard(broker: Broker, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "1_old.mailbox.msg").write_text("{}")

    with broker:
        subscription = broker.subscribe(QueueSpec("mailbox"), [""])
        assert subscription.receive(0.05) == []
        subscription.close()


def test_line_tells_nothing_where_nothing_is_lacking() -> None:
    with open_broker("memory://") as opened:
        assert shortfalls(opened.transport, opened.capabilities) == ""


def table_of_the_docs() -> dict[str, list[str]]:
    """Scheme -> the cells behind it."""
    found = {}
    for line in (ROOT / "docs" / "brokers.md").read_text().splitlines():
        if line.startswith("| `"):
            schemes, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            found.update({scheme.strip("` "): cells for scheme in schemes.split(",")})
    return found


def test_the_docs_tell_what_is_known() -> None:
    told = table_of_the_docs()

    assert told.keys() == FACTS.keys()
    for scheme, facts in FACTS.items():
        extra, _, _, priorities, killed, poll = told[scheme]
        assert extra.strip("`") == (facts.extra or "-"), scheme
        assert priorities == ("yes" if facts.has_priorities else "no"), scheme
        assert killed == ("come back" if facts.keeps_unacked else "lost"), scheme
        assert poll == f"{facts.poll_s:g} s", scheme


@pytest.mark.parametrize("url", ["filesystem:///tmp/x", "sqla+sqlite:////tmp/x.db"])
def test_the_docs_tell_what_can_be_asked(url: str) -> None:
    with open_broker(url) as opened:
        told = table_of_the_docs()[opened.transport]

        assert told[1] == ("yes" if opened.capabilities.can_fanout else "no")


def test_exchange_of_a_kind_that_kombu_has_not_is_refused(broker: Broker) -> None:
    with broker, pytest.raises(NotSupportedError, match="no headers exchanges"):
        broker.declare(QueueSpec("celery", ExchangeSpec("by-headers", "headers"), ""))
