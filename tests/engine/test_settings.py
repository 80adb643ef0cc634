from __future__ import annotations

from datetime import timedelta

import pytest

from tqconsole.engine.exceptions import ImproperlyConfigured
from tqconsole.engine.settings import MASK, Settings, read_source
from tqconsole.engine.settings_own import OWN_SETTINGS
from tqconsole.engine.settings_table import OLD_NAMES, SETTINGS


def test_attribute_and_item_are_one() -> None:
    conf = Settings()

    conf.task_serializer = "yaml"
    conf["timezone"] = "Europe/Oslo"

    assert conf["task_serializer"] == "yaml"
    assert conf.timezone == "Europe/Oslo"


def test_unset_settings_have_defaults() -> None:
    conf = Settings()

    assert conf.worker_prefetch_multiplier == 4
    assert conf.task_default_queue == "celery"


def test_old_names_mean_the_new_setting() -> None:
    conf = Settings()

    conf["CELERY_TASK_RESULT_EXPIRES"] = 60
    conf.update(BROKER_URL="memory://")

    assert conf.result_expires == 60
    assert conf["BROKER_URL"] == conf.broker_url == "memory://"


def test_unknown_names_are_kept() -> None:
    conf = Settings({"my_setting": 3})

    assert conf.my_setting == 3
    with pytest.raises(AttributeError, match="no_such_setting"):
        _ = conf.no_such_setting


def test_environment_wins_over_the_program() -> None:
    conf = Settings(
        {"broker_url": "amqp://", "result_backend": "rpc://"},
        environ={"CELERY_BROKER_URL": "redis://", "CELERY_RESULT_BACKEND": "redis://1"},
    )

    assert (conf.broker_url, conf.result_backend) == ("redis://", "redis://1")


def test_own_variable_wins_over_celerys() -> None:
    conf = Settings(environ={"CELERY_BROKER_URL": "redis://", "TQCONSOLE_BROKER": "memory://"})

    assert conf.broker_url == "memory://"


def test_command_line_wins_over_the_environment() -> None:
    conf = Settings({"broker_url": "amqp://"}, environ={"CELERY_BROKER_URL": "redis://"})

    conf.override(broker_url="memory://")

    assert conf.broker_url == "memory://"


def test_program_wins_over_source_and_added_defaults() -> None:
    conf = Settings(
        {"task_acks_late": True}, lambda: {"task_acks_late": False, "task_track_started": True}
    )
    conf.add_defaults({"task_track_started": False, "worker_concurrency": 3})

    assert conf.task_acks_late is True
    assert conf.task_track_started is True
    assert conf.worker_concurrency == 3


def test_source_is_read_at_the_first_look() -> None:
    reads: list[int] = []
    conf = Settings(load=lambda: reads.append(1) or {"timezone": "UTC"})

    conf.task_serializer = "json"
    assert reads == []
    assert conf.timezone == conf.timezone == "UTC"
    assert reads == [1]


def test_read_and_write_urls_follow_the_broker() -> None:
    conf = Settings({"broker_url": "memory://"})

    assert conf.broker_read_url == conf.broker_write_url == "memory://"


def test_default_exchange_follows_the_default_queue() -> None:
    conf = Settings({"task_default_queue": "work"})

    assert (conf.task_default_exchange, conf.task_default_routing_key) == ("work", "work")


def test_a_default_mapping_belongs_to_one_app() -> None:
    one, other = Settings(), Settings()

    one.broker_transport_options["visibility_timeout"] = 5

    assert one.broker_transport_options == {"visibility_timeout": 5}
    assert other.broker_transport_options == {}


def test_durations_may_be_timedeltas() -> None:
    conf = Settings({"result_expires": timedelta(hours=1), "task_time_limit": 0})

    assert conf.seconds("result_expires") == 3600.0
    assert conf.seconds("task_time_limit") is None


def test_secrets_are_masked() -> None:
    conf = Settings(
        {
            "redis_password": "hush",
            "broker_url": "redis://user:hush@host/0",
            "mongodb_backend_settings": {"password": "hush", "host": "h"},
            "task_default_routing_key": "work",
        }
    )

    text = conf.humanize()

    assert "hush" not in text
    assert conf.table()["mongodb_backend_settings"] == {"password": MASK, "host": "h"}
    assert conf.table()["task_default_routing_key"] == "work"


def test_table_shows_changes_or_everything() -> None:
    conf = Settings({"timezone": "UTC"})

    assert conf.table() == {"timezone": "UTC"}
    assert conf.table(with_defaults=True)["task_serializer"] == "json"
    assert conf.value_set_for("timezone")
    assert not conf.value_set_for("task_serializer")


def test_every_celery_setting_is_known_with_its_default() -> None:
    defaults = pytest.importorskip("celery.app.defaults")
    theirs = {name: option.default for name, option in defaults.flatten(defaults.NAMESPACES)}
    ours = {name: setting.default for name, setting in SETTINGS.items()}
    declared = {
        "worker_send_task_events": "auto",
        "result_expires": 86400.0,
        "broker_heartbeat": 5,
    }

    assert len(SETTINGS) == 207
    assert {**theirs, **declared} == ours


def test_settings_of_our_own_are_known_beside_them() -> None:
    conf = Settings({"CELERYD_CONCURRENCY": 2, "worker_busy_poll": 0})

    assert Settings({}).worker_busy_poll == OWN_SETTINGS["worker_busy_poll"].default
    assert "worker_busy_poll" in conf
    assert set(OWN_SETTINGS) <= set(conf)
    assert read_source({"CELERY_WORKER_BUSY_POLL": 0.0}, "CELERY") == {"worker_busy_poll": 0.0}
    assert read_source({"CELERYD_CONCURRENCY": 2, "worker_busy_poll": 0}) == {
        "worker_concurrency": 2,
        "worker_busy_poll": 0,
    }


def test_every_old_name_is_celerys() -> None:
    defaults = pytest.importorskip("celery.app.defaults")

    assert {old: new for new, old in defaults._TO_OLD_KEY.items()} == OLD_NAMES


class TestSources:
    def test_objects_and_classes_are_read_by_attribute(self) -> None:
        class Config:
            task_serializer = "yaml"
            _hidden = 1

        assert read_source(Config) == {"task_serializer": "yaml"}

    def test_namespace_takes_its_own_names_only(self) -> None:
        source = {"CELERY_TASK_ALWAYS_EAGER": True, "DEBUG": True, "BROKER_URL": "amqp://"}

        assert read_source(source, "CELERY") == {"task_always_eager": True}

    def test_old_names_are_translated(self) -> None:
        source = {"CELERY_ACKS_LATE": True, "CELERYD_CONCURRENCY": 2, "CELERYBEAT_SCHEDULE": {}}

        assert read_source(source) == {
            "task_acks_late": True,
            "worker_concurrency": 2,
            "beat_schedule": {},
        }

    def test_mixed_names_are_refused_with_a_rename_list(self) -> None:
        source = {"task_serializer": "json", "broker_url": "amqp://", "CELERY_ACKS_LATE": True}

        with pytest.raises(ImproperlyConfigured, match=r"CELERY_ACKS_LATE +-> task_acks_late"):
            read_source(source)

    def test_the_majority_decides_what_to_rename(self) -> None:
        source = {"CELERY_ACKS_LATE": True, "BROKER_URL": "amqp://", "task_serializer": "json"}

        with pytest.raises(
            ImproperlyConfigured, match=r"task_serializer +-> CELERY_TASK_SERIALIZER"
        ):
            read_source(source)

    def test_both_names_of_one_setting_are_no_mix(self) -> None:
        source = {"result_expires": 5, "CELERY_TASK_RESULT_EXPIRES": 9, "timezone": "UTC"}

        assert read_source(source) == {"result_expires": 5, "timezone": "UTC"}
