"""What a URL and Celery's `..._use_ssl` settings say about TLS, by redis-py's names.

Without a word about it the server's certificate is checked: the safe reading. A setting that asks
for TLS gets it whatever the URL's scheme is.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqconsole.engine.exceptions import ImproperlyConfigured

#: The option in which `broker_use_ssl` and `redis_backend_use_ssl` arrive: True or a mapping.
USE_SSL = "ssl"
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_ca_path")
_OPTIONS = (*_FILES, "ssl_cert_reqs", "ssl_check_hostname", "ssl_password", "ssl_ca_data",
            "ssl_min_version", "ssl_ciphers")  # fmt: skip
_CERT_REQS = {
    "CERT_REQUIRED": "required", "CERT_OPTIONAL": "optional", "CERT_NONE": "none",
    "required": "required", "optional": "optional", "none": "none",
    ssl.CERT_REQUIRED: "required", ssl.CERT_OPTIONAL: "optional", ssl.CERT_NONE: "none",
}  # fmt: skip
_OFF = ("0", "false", "no", "off", "")


def tls_of(given: Mapping[str, Any], *, is_secure_scheme: bool) -> dict[str, Any] | None:
    """Return the TLS arguments of a connection, None for a plain one. Raises: ImproperlyConfigured.

    `given` are the options of the URL and the transport, with the setting under `USE_SSL`.
    """
    setting = given.get(USE_SSL)
    spoken = [name for name in _OPTIONS if given.get(name) not in (None, "")]
    if not is_secure_scheme and not setting:
        if spoken:
            raise ImproperlyConfigured(
                f"{spoken[0]} is given, but redis:// is not encrypted: write rediss://"
            )
        return None
    found = {**_of_setting(setting), **{name: given[name] for name in spoken}}
    for name in _FILES:
        if name in found and not Path(str(found[name])).exists():
            raise ImproperlyConfigured(f"{name}: there is no file {found[name]}")
    found["ssl_cert_reqs"] = _cert_reqs(found.get("ssl_cert_reqs", "required"))
    checks_name = str(found.get("ssl_check_hostname", True)).lower() not in _OFF
    found["ssl_check_hostname"] = checks_name and found["ssl_cert_reqs"] == "required"
    return found


def _of_setting(setting: Any) -> dict[str, Any]:
    if not isinstance(setting, Mapping):
        return {}
    unknown = sorted(str(name) for name in setting if name not in _OPTIONS)
    if unknown:
        near = f"ssl_{unknown[0]}"
        hint = f"write {near}" if near in _OPTIONS else f"known are {', '.join(_OPTIONS)}"
        raise ImproperlyConfigured(f"use_ssl: {unknown[0]!r} is not an option of Redis: {hint}")
    return {name: value for name, value in setting.items() if value not in (None, "")}


def _cert_reqs(value: Any) -> str:
    if value not in _CERT_REQS:
        raise ImproperlyConfigured(
            f"ssl_cert_reqs is CERT_REQUIRED, CERT_OPTIONAL or CERT_NONE, not {value!r}"
        )
    return _CERT_REQS[value]
