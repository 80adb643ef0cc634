"""Every setting: name, type, default, unit and what it is for, in one place.

Names and defaults are Celery's (5.7), because its users' configurations must work unchanged;
where a default is ours its line says so. `docs/settings.md` is written from this table. The
settings of a single result store act once that store is the one in use.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

PROCESS_LOG_FORMAT = "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s"
TASK_LOG_FORMAT = (
    "[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s"
)

#: Group of a setting -> first part of its old, upper-case name; others have "CELERY_" + the name.
_OLD_PREFIXES = {
    "azureblockblob": "AZUREBLOCKBLOB_",
    "beat": "CELERYBEAT_",
    "broker": "BROKER_",
    "cassandra": "CASSANDRA_",
    "control": "CONTROL_",
    "cosmosdbsql": "COSMOSDBSQL_",
    "gcs": "GCS_",
    "s3": "S3_",
    "task": "CELERY_",
    "worker": "CELERYD_",
}


class Setting(NamedTuple):
    """A setting. `kind` is a word for its type ("float", "list", ...); `reason` says what for.

    `old` is the upper-case name where the group's rule does not give it.
    """

    name: str
    kind: str
    default: Any
    unit: str
    reason: str
    old: str = ""

    @property
    def old_name(self) -> str:
        """The name that configurations from before Celery 4 have."""
        if self.old:
            return self.old
        group, _, rest = self.name.partition("_")
        prefix = _OLD_PREFIXES.get(group)
        return prefix + rest.upper() if prefix else f"CELERY_{self.name.upper()}"


_RETRY_POLICY = {
    "max_retries": 3,
    "interval_start": 0,
    "interval_max": 1,
    "interval_step": 0.2,
}

# One line a setting: a formatter's one argument a line would make it a table nobody can read.
# fmt: off
_ROWS: tuple[tuple[Any, ...], ...] = (
    # general
    ("accept_content", "list", ("json",), "",
     "serializers or content types that are read; others are refused before decoding"),
    ("result_accept_content", "list", None, "",
     "the same for results; None: as accept_content", "RESULT_ACCEPT_CONTENT"),
    ("enable_utc", "bool", True, "",
     "False: instants are naive and local, as very old peers have them", "ENABLE_UTC"),
    ("imports", "tuple", (), "", "modules a worker imports at its start, beside include"),
    ("include", "tuple", (), "", "modules a worker imports at its start (what App(include=) sets)"),
    ("timezone", "str", None, "",
     "zone name in which naive instants and schedules are read; None is UTC"),

    # broker
    ("broker_url", "str", None, "",
     "where messages go; a list or ';' gives alternates; None: the embedded broker"),
    ("broker_read_url", "str", None, "", "where workers read; None: broker_url"),
    ("broker_write_url", "str", None, "", "where clients write; None: broker_url"),
    ("broker_transport", "str", None, "", "scheme for a broker_url that has none"),
    ("broker_transport_options", "dict", {}, "", "what the adapter of the scheme understands"),
    ("broker_connection_timeout", "float", 4, "s", "give up one attempt to connect after this"),
    ("broker_connection_retry", "bool", True, "",
     "a worker connects again when the broker went away"),
    ("broker_connection_retry_on_startup", "bool", None, "",
     "the same before the first connection; None: as above"),
    ("broker_connection_max_retries", "int", 100, "attempts",
     "then a worker gives up; None: never"),
    ("broker_channel_error_retry", "bool", False, "",
     "treat a channel's error like a lost connection"),
    ("broker_failover_strategy", "any", None, "",
     "order of a list of servers: round-robin, shuffle, or a callable from list to iterator"),
    ("broker_heartbeat", "int", 5, "s",
     "AMQP only: a peer that is silent for two of these is dead; Celery's default is 120"),
    ("broker_heartbeat_checkrate", "int", 3.0, "per heartbeat", "how often the heart is checked"),
    ("broker_login_method", "str", None, "", "AMQP login: PLAIN, AMQPLAIN, EXTERNAL"),
    ("broker_native_delayed_delivery_queue_type", "str", "quorum", "",
     "type of the queues in which Celery's clients leave calls with an ETA for quorum queues"),
    ("broker_pool_limit", "int", 10, "connections",
     "open at once in one process; 0 or None: a new one each time"),
    ("broker_pool_acquire_timeout", "float", None, "s",
     "longest wait for a free connection; None: no bound"),
    ("broker_use_ssl", "bool", False, "",
     "True, or TLS options; Redis has ssl_cert_reqs, ssl_ca_certs, ssl_certfile, ssl_keyfile"),
    ("broker_host", "str", None, "", "part of the URL when broker_url is not set"),
    ("broker_port", "int", None, "", "part of the URL when broker_url is not set"),
    ("broker_user", "str", None, "", "part of the URL when broker_url is not set"),
    ("broker_password", "str", None, "", "part of the URL when broker_url is not set"),
    ("broker_vhost", "str", None, "", "part of the URL when broker_url is not set"),

    # task
    ("task_acks_late", "bool", False, "", "acknowledge after the run: what dies is run again"),
    ("task_acks_on_failure_or_timeout", "bool", True, "",
     "with late ack: a failed run is acknowledged too"),
    ("task_acks_on_failure", "bool", None, "", "the same for failures only; None: as above"),
    ("task_acks_on_timeout", "bool", None, "", "the same for time limits only; None: as above"),
    ("task_always_eager", "bool", False, "", "calls run here and now; for tests"),
    ("task_annotations", "any", None, "", "task name to attributes that replace the task's own"),
    ("task_compression", "str", None, "",
     "compress bodies by this method", "CELERY_MESSAGE_COMPRESSION"),
    ("task_create_missing_queues", "bool", True, "",
     "an unknown queue name makes the queue; False: it is an error"),
    ("task_create_missing_queue_type", "str", "classic", "",
     "type of queues made so: classic or quorum"),
    ("task_create_missing_queue_exchange_type", "str", None, "",
     "type of their exchanges; None: direct"),
    ("task_inherit_parent_priority", "bool", False, "",
     "what a task sends has the task's priority"),
    ("task_default_delivery_mode", "str", 2, "",
     "2 or 'persistent'; 1 or 'transient': lost with the broker"),
    ("task_default_queue", "str", "celery", "", "queue of calls no route speaks of"),
    ("task_default_queue_type", "str", "classic", "", "its type: classic or quorum"),
    ("task_default_exchange", "str", None, "", "its exchange; None: as the queue"),
    ("task_default_exchange_type", "str", "direct", "", "type of that exchange"),
    ("task_default_routing_key", "str", None, "", "its key; None: as the queue"),
    ("task_default_rate_limit", "str", None, "", "for tasks without one: '10/s', '10/m', '10/h'"),
    ("task_default_priority", "str", None, "", "for calls without one"),
    ("task_eager_propagates", "bool", False, "",
     "errors of eager runs are raised at the call", "CELERY_EAGER_PROPAGATES_EXCEPTIONS"),
    ("task_ignore_result", "bool", False, "", "no records, unless a task says otherwise"),
    ("task_store_eager_result", "bool", False, "", "eager runs store their result"),
    ("task_protocol", "int", 2, "",
     "version of the message format that is written: 2", "CELERY_TASK_PROTOCOL"),
    ("task_publish_retry", "bool", True, "",
     "try again when publishing fails", "CELERY_TASK_PUBLISH_RETRY"),
    ("task_publish_retry_policy", "dict", _RETRY_POLICY, "",
     "max_retries, interval_start, interval_step, interval_max", "CELERY_TASK_PUBLISH_RETRY_POLICY"
     ),
    ("task_queues", "dict", None, "",
     "queues to read: kombu Queues, or name to {exchange, routing_key, ...}"),
    ("task_queue_max_priority", "int", None, "", "x-max-priority of queues on RabbitMQ"),
    ("task_reject_on_worker_lost", "bool", None, "",
     "with late ack: a run whose process died goes back to the queue"),
    ("task_retry_on_worker_lost", "bool", False, "", "a run whose process died counts as a retry"),
    ("task_remote_tracebacks", "bool", False, "",
     "errors carry their remote traceback (needs tblib)"),
    ("task_repr_maxlevels", "int", 3, "levels",
     "depth of the reprs of arguments in messages and events"),
    ("task_routes", "any", None, "",
     "where tasks go: mapping, list of pairs, function, or a list of these"),
    ("task_send_sent_event", "bool", False, "",
     "clients tell of what they send", "CELERY_SEND_TASK_SENT_EVENT"),
    ("task_serializer", "str", "json", "", "format of messages", "CELERY_TASK_SERIALIZER"),
    ("task_soft_time_limit", "float", None, "s",
     "then SoftTimeLimitExceeded is raised in the task", "CELERYD_TASK_SOFT_TIME_LIMIT"),
    ("task_time_limit", "float", None, "s",
     "then the process that runs the task is killed", "CELERYD_TASK_TIME_LIMIT"),
    ("task_store_errors_even_if_ignored", "bool", False, "",
     "failures are stored although results are not"),
    ("task_track_started", "bool", False, "", "store STARTED when a run begins"),
    ("task_allow_error_cb_on_chord_header", "bool", False, "",
     "errbacks of a chord also go to its header"),

    # result
    ("result_backend", "str", None, "",
     "where results go; None: the same file on the embedded broker, else nowhere"),
    ("result_cache_max", "int", -1, "results",
     "kept by a client; -1: none, 0: all", "CELERY_MAX_CACHED_RESULTS"),
    ("result_compression", "str", None, "", "compress stored results by this method"),
    ("result_exchange", "str", "celeryresults", "", "exchange of rpc results"),
    ("result_exchange_type", "str", "direct", "", "its type"),
    ("result_expires", "float", 86400.0, "s",
     "life of a result; also a timedelta; 0 or None: for ever", "CELERY_TASK_RESULT_EXPIRES"),
    ("result_chord_expires", "float", None, "s",
     "life of a chord's counters; None: as result_expires"),
    ("result_failure_expires", "float", None, "s", "life of a failure; None: as result_expires"),
    ("result_persistent", "bool", None, "", "rpc results survive a restart of the broker"),
    ("result_extended", "bool", False, "",
     "records also carry name, args, kwargs, worker, retries and queue"),
    ("result_serializer", "str", "json", "", "format of records"),
    ("result_backend_transport_options", "dict", {}, "",
     "what the store of the scheme understands"),
    ("result_chord_retry_interval", "float", 1.0, "s", "between two looks of celery.chord_unlock"),
    ("result_chord_join_timeout", "float", 3.0, "s", "of celery.chord_unlock for its parts"),
    ("result_backend_max_sleep_between_retries_ms", "int", 10000, "ms",
     "longest wait before a store that fails is tried again; a worker's, when nobody set it: 1 s"),
    ("result_backend_max_retries", "float", math.inf, "attempts",
     "after so many a store that fails is given up, also by a worker: it loses the result then"),
    ("result_backend_base_sleep_between_retries_ms", "int", 10, "ms",
     "first such wait; each is twice the one before. When nobody set it: 100 ms"),
    ("result_backend_always_retry", "bool", False, "",
     "who reads tries again, too; when nobody set it, who waits does so for 30 s. A worker always"
     " tries until the store has taken the result"),

    # worker
    ("worker_agent", "str", None, "", "class of an agent beside the worker"),
    ("worker_autoscaler", "str", "celery.worker.autoscale:Autoscaler", "",
     "class that sizes the pool"),
    ("worker_cancel_long_running_tasks_on_connection_loss", "bool", False, "",
     "stop late-ack runs when the broker goes away"),
    ("worker_soft_shutdown_timeout", "float", 0.0, "s",
     "after a second signal, time to end before the cold stop"),
    ("worker_enable_soft_shutdown_on_idle", "bool", False, "", "wait so even when nothing runs"),
    ("worker_concurrency", "any", None, "slots", "None: one for each CPU"),
    ("worker_consumer", "str", "celery.worker.consumer:Consumer", "", "class that reads messages"),
    ("worker_direct", "bool", False, "",
     "each worker also has a queue of its own", "CELERY_WORKER_DIRECT"),
    ("worker_disable_rate_limits", "bool", False, "",
     "rates are not looked at", "CELERY_DISABLE_RATE_LIMITS"),
    ("worker_deduplicate_successful_tasks", "bool", False, "",
     "a redelivered late-ack task that has succeeded is not run again"),
    ("worker_enable_remote_control", "bool", True, "",
     "answer broadcast commands", "CELERY_ENABLE_REMOTE_CONTROL"),
    ("worker_hijack_root_logger", "bool", True, "", "the worker sets up the root logger anew"),
    ("worker_log_color", "bool", None, "", "None: when stderr is a terminal"),
    ("worker_log_datefmt", "str", None, "", "strftime form of a log line's time"),
    ("worker_log_format", "str", PROCESS_LOG_FORMAT, "", "form of the worker's log lines"),
    ("worker_lost_wait", "float", 10.0, "s",
     "a dead child may still hand in its result for so long", "CELERYD_WORKER_LOST_WAIT"),
    ("worker_max_memory_per_child", "int", None, "KiB",
     "a child above it is replaced after its task"),
    ("worker_max_tasks_per_child", "int", None, "tasks", "then a child is replaced"),
    ("worker_pool", "str", "prefork", "", "prefork, threads, solo, ..."),
    ("worker_pool_putlocks", "bool", True, "", "the pool takes no more than it has slots"),
    ("worker_pool_restarts", "bool", False, "", "allow the pool_restart command"),
    ("worker_pool_start_method", "str", "fork", "",
     "how a child starts: fork, or spawn (imports the app anew)"),
    ("worker_proc_alive_timeout", "float", 4.0, "s", "a new child must report within it"),
    ("worker_prefetch_multiplier", "int", 4, "messages per slot", "in hand at once; 0: no bound"),
    ("worker_eta_task_limit", "int", None, "messages",
     "with an ETA in hand at once; None: no bound"),
    ("worker_enable_prefetch_count_reduction", "bool", True, "",
     "fetch less at first after a lost connection"),
    ("worker_disable_prefetch", "bool", False, "", "fetch only when a slot is free"),
    ("worker_redirect_stdouts", "bool", True, "",
     "prints of tasks become log lines", "CELERY_REDIRECT_STDOUTS"),
    ("worker_redirect_stdouts_level", "str", "WARNING", "",
     "at this level", "CELERY_REDIRECT_STDOUTS_LEVEL"),
    ("worker_send_task_events", "any", "auto", "",
     "True, False, or 'auto': when somebody listens", "CELERY_SEND_EVENTS"),
    ("worker_state_db", "str", None, "", "file in which revokes survive"),
    ("worker_task_log_datefmt", "str", None, "", "strftime form in tasks' log lines"),
    ("worker_task_log_format", "str", TASK_LOG_FORMAT, "", "form of tasks' log lines"),
    ("worker_timer", "str", None, "", "class of the timer"),
    ("worker_timer_precision", "float", 1.0, "s", "longest sleep of that timer"),
    ("worker_detect_quorum_queues", "bool", True, "", "quorum queues switch global prefetch off"),

    # beat
    ("beat_enable_remote_control", "bool", False, "", "let beat answer broadcast commands"),
    ("beat_remote_control_max_tick_age", "float", None, "s",
     "beat answers as unhealthy when its last tick is older"),
    ("beat_max_loop_interval", "float", 0, "s",
     "longest sleep between two looks at the schedule; 0: the scheduler's own"),
    ("beat_schedule", "dict", {}, "", "entry name to {task, schedule, args, kwargs, options}"),
    ("beat_scheduler", "str", "celery.beat:PersistentScheduler", "",
     "class that keeps the schedule"),
    ("beat_schedule_filename", "str", "celerybeat-schedule", "",
     "file in which the last run times live"),
    ("beat_sync_every", "int", 0, "tasks", "write the file after so many; 0: by time only"),
    ("beat_cron_starting_deadline", "int", None, "s",
     "a crontab run missed by more than this is skipped"),

    # event
    ("event_queue_expires", "float", 60.0, "s", "an unused event queue goes away"),
    ("event_queue_ttl", "float", 5.0, "s", "life of an event nobody fetched"),
    ("event_queue_prefix", "str", "celeryev", "", "first part of event queues' names"),
    ("event_queue_exclusive", "bool", True, "", "only its own connection may read an event queue"),
    ("event_queue_durable", "bool", False, "", "event queues survive a restart of the broker"),
    ("event_serializer", "str", "json", "", "format of events"),
    ("event_exchange", "str", "celeryev", "", "name of the event exchange"),

    # control
    ("control_queue_ttl", "float", 300.0, "s", "life of a command nobody fetched"),
    ("control_queue_expires", "float", 10.0, "s", "an unused control queue goes away"),
    ("control_queue_exclusive", "bool", True, "",
     "only its own connection may read a control queue"),
    ("control_queue_durable", "bool", False, "", "control queues survive a restart of the broker"),
    ("control_exchange", "str", "celery", "", "first part of the command exchange's name"),

    # security
    ("security_certificate", "str", None, "", "file of the certificate that signs"),
    ("security_cert_store", "str", None, "", "files of the certificates that are trusted"),
    ("security_key", "str", None, "", "file of the private key that signs"),
    ("security_key_password", "bytes", None, "", "its password"),
    ("security_digest", "str", "sha256", "", "hash of the signature"),

    # cache
    ("cache_backend", "str", None, "", "memcached servers of a cache store without URL"),
    ("cache_backend_options", "dict", {}, "", "what the memcached client understands"),

    # cassandra
    ("cassandra_entry_ttl", "float", None, "s", "life of a row; None: for ever"),
    ("cassandra_keyspace", "str", None, "", "where the table lies"),
    ("cassandra_port", "str", None, "", "of the servers"),
    ("cassandra_read_consistency", "str", None, "", "level of reads"),
    ("cassandra_servers", "list", None, "", "host names"),
    ("cassandra_bundle_path", "str", None, "", "secure connect bundle"),
    ("cassandra_table", "str", None, "", "name of the table"),
    ("cassandra_write_consistency", "str", None, "", "level of writes"),
    ("cassandra_auth_provider", "str", None, "", "class in cassandra.auth"),
    ("cassandra_auth_kwargs", "str", None, "", "arguments of that class"),
    ("cassandra_options", "dict", {}, "", "arguments of the cluster object"),

    # s3
    ("s3_access_key_id", "str", None, "", "AWS key; None: as boto3 finds it"),
    ("s3_secret_access_key", "str", None, "", "AWS secret; None: as boto3 finds it"),
    ("s3_bucket", "str", None, "", "where records lie"),
    ("s3_base_path", "str", None, "", "prefix of every key"),
    ("s3_endpoint_url", "str", None, "", "another S3-like service"),
    ("s3_region", "str", None, "", "AWS region"),

    # azureblockblob
    ("azureblockblob_container_name", "str", "celery", "", "where records lie"),
    ("azureblockblob_retry_initial_backoff_sec", "int", 2, "s", "first wait between attempts"),
    ("azureblockblob_retry_increment_base", "int", 2, "s", "by which that wait grows"),
    ("azureblockblob_retry_max_attempts", "int", 3, "attempts", "then the write fails"),
    ("azureblockblob_base_path", "str", "", "", "prefix of every blob"),
    ("azureblockblob_connection_timeout", "int", 20, "s", "to connect"),
    ("azureblockblob_read_timeout", "int", 120, "s", "to answer"),

    # gcs
    ("gcs_bucket", "str", None, "", "where records lie"),
    ("gcs_project", "str", None, "", "Google Cloud project"),
    ("gcs_base_path", "str", "", "", "prefix of every object"),
    ("gcs_ttl", "float", 0, "s", "life of an object; 0: for ever"),

    # couchbase
    ("couchbase_backend_settings", "dict", None, "", "what the store understands"),

    # arangodb
    ("arangodb_backend_settings", "dict", None, "", "what the store understands"),

    # mongodb
    ("mongodb_backend_settings", "dict", None, "",
     "database, taskmeta_collection and what the client understands"),

    # cosmosdbsql
    ("cosmosdbsql_database_name", "str", "celerydb", "", "where records lie"),
    ("cosmosdbsql_collection_name", "str", "celerycol", "", "where records lie"),
    ("cosmosdbsql_consistency_level", "str", "Session", "", "level of reads"),
    ("cosmosdbsql_max_retry_attempts", "int", 9, "attempts", "then the request fails"),
    ("cosmosdbsql_max_retry_wait_time", "int", 30, "s", "all waits of one request together"),

    # redis
    ("redis_backend_use_ssl", "dict", None, "", "TLS options of a redis store, or True"),
    ("redis_db", "int", None, "", "database of a redis store whose URL names none"),
    ("redis_host", "str", None, "", "host of a redis store whose URL names none"),
    ("redis_max_connections", "int", None, "connections",
     "no meaning here: a process has one, and one for each thread that waits"),
    ("redis_username", "str", None, "", "user of a redis store whose URL names none"),
    ("redis_password", "str", None, "", "password of a redis store whose URL names none"),
    ("redis_port", "int", None, "", "port of a redis store whose URL names none"),
    ("redis_socket_timeout", "float", 120.0, "s",
     "a silent redis store fails after this; when nobody set it, after 10 s"),
    ("redis_socket_connect_timeout", "float", None, "s", "to connect; None: 5 s"),
    ("redis_retry_on_timeout", "bool", False, "", "ask once more what was not answered in time"),
    ("redis_socket_keepalive", "bool", False, "", "TCP keepalive; when nobody set it, it is on"),

    # elasticsearch
    ("elasticsearch_retry_on_timeout", "bool", None, "", "repeat a request that timed out"),
    ("elasticsearch_max_retries", "int", None, "attempts", "of one request"),
    ("elasticsearch_timeout", "float", None, "s", "of one request"),
    ("elasticsearch_save_meta_as_text", "bool", True, "", "records are text fields"),

    # database
    ("database_url", "str", None, "", "SQL store without result_backend", "CELERY_RESULT_DBURI"),
    ("database_engine_options", "dict", {"pool_pre_ping": True, "pool_recycle": 3600}, "",
     "arguments of SQLAlchemy's engine", "CELERY_RESULT_ENGINE_OPTIONS"),
    ("database_engine_callback", "any", None, "",
     "called with the engine", "DATABASE_ENGINE_CALLBACK"),
    ("database_short_lived_sessions", "bool", False, "",
     "a new session for each call", "CELERY_RESULT_DB_SHORT_LIVED_SESSIONS"),
    ("database_table_schemas", "dict", None, "",
     "{'task', 'group'} to schema", "DATABASE_TABLE_SCHEMAS"),
    ("database_table_names", "dict", None, "",
     "{'task', 'group'} to table name", "CELERY_RESULT_DB_TABLENAMES"),
    ("database_create_tables_at_setup", "bool", True, "",
     "make tables at the start, not at the first write", "DATABASE_CREATE_TABLES_AT_SETUP"),
)
# fmt: on

#: Name -> setting, grouped as the documentation shows them.
SETTINGS: dict[str, Setting] = {row[0]: Setting(*row) for row in _ROWS}

#: Old name -> name.
OLD_NAMES: dict[str, str] = {setting.old_name: setting.name for setting in SETTINGS.values()}
