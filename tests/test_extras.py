"""What `pip install 'tqconsole[...]'` brings: Celery's names, for everything that is here."""

from __future__ import annotations

import tomllib
from importlib.metadata import metadata
from pathlib import Path

import pytest

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
#: Celery's extras for what this version does not have: none is taken as if it did something.
LATER = {
    "arangodb", "auth", "azureblockblob", "cassandra", "cosmosdbsql", "couchbase", "couchdb",
    "django", "dynamodb", "elasticsearch", "gcs", "memcache", "pymemcache", "pytest", "s3", "solar",
    "tblib",
}  # fmt: skip


def celerys() -> set[str]:
    return set(metadata("celery").get_all("Provides-Extra") or ())


def test_extras_bear_celerys_names() -> None:
    assert celerys() - set(EXTRAS) == LATER


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("redis", "redis"), ("msgpack", "msgpack"), ("yaml", "PyYAML"), ("gevent", "gevent"),
        ("eventlet", "eventlet"), ("zstd", "zstandard"), ("brotli", "brotli"),
        ("pydantic", "pydantic"), ("sqlalchemy", "kombu[sqlalchemy]"), ("sqs", "kombu[sqs]"),
        ("mongodb", "kombu[mongodb]"), ("zookeeper", "kombu[zookeeper]"), ("librabbitmq", "kombu"),
    ],
)  # fmt: skip
def test_an_extra_brings_what_it_is_named_after(name: str, package: str) -> None:
    """Or it is in the core already, and the name is taken all the same."""
    wanted = [*EXTRAS[name], *PROJECT["dependencies"]]

    assert any(each.startswith(package) for each in wanted)
