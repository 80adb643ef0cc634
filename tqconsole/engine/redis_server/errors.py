"""What a Redis server's refusals mean: a wrong configuration, or a failure that passes."""

from __future__ import annotations

from tqconsole.engine.exceptions import (
    BrokerUnreachableError,
    EngineError,
    ImproperlyConfigured,
    OperationalError,
)


class FullServerError(OperationalError):
    """The server is out of memory and takes no writes."""


#: First words of an answer that no retry can help, and what to do.
_HOPELESS = {
    "NOAUTH": "wants a password that fits: put it into the URL, redis://:password@host:6379/0",
    "WRONGPASS": "refuses the password (or user): correct redis://user:password@host:6379/0",
    "NOPERM": "does not allow this user what a task queue needs: give it ~* &* +@all",
    "MOVED": "is a Redis Cluster, whose keys lie on several servers: use one server without"
    " cluster-enabled",
}
_HOPELESS["ASK"] = _HOPELESS["CROSSSLOT"] = _HOPELESS["CLUSTERDOWN"] = _HOPELESS["MOVED"]
#: What a server says that is no longer, or not yet, the one to write to.
_PASSING = {
    "READONLY": "takes no writes: it is a replica, or has just become one",
    "LOADING": "is still loading its data",
    "MASTERDOWN": "is a replica that has lost its master",
    "OOM": "is out of memory and takes no writes (maxmemory)",
    "MISCONF": "takes no writes, since it cannot save its data",
    "NOREPLICAS": "takes no writes, since it has too few replicas",
    "UNBLOCKED": "ended a waiting command, since its role has changed",
    "BUSY": "is busy with a script",
}
#: What OpenSSL, or a server that hangs up at once, says of two that do not speak alike.
_TLS_SIGNS = {
    "CERTIFICATE_VERIFY_FAILED": "shows a certificate that nobody here vouches for: name its"
    " authority with ssl_ca_certs=/path/ca.pem",
    "CERTIFICATE_REQUIRED": "wants a certificate of ours: name it with ssl_certfile and"
    " ssl_keyfile",
    "WRONG_VERSION_NUMBER": "speaks no TLS: write redis://, without ssl options",
    "RECORD_LAYER_FAILURE": "speaks no TLS: write redis://, without ssl options",
    "PEM lib": "cannot be asked: an ssl_ file is no certificate or key",
    "NO_CERTIFICATE_OR_CRL_FOUND": "cannot be asked: an ssl_ file is no certificate or key",
}
#: After these the connection is given up: the next one may reach another server.
MOVED_ON = ("READONLY", "MASTERDOWN", "UNBLOCKED", "LOADING")


def of_answer(text: str, server: str) -> EngineError:
    """Return the error for a server's error answer."""
    word = text.partition(" ")[0].rstrip(":")
    # An error inside a script comes wrapped, with its own text in it.
    for known, meaning in _HOPELESS.items():
        if word == known or f"{known} " in text[:200]:
            return ImproperlyConfigured(f"Redis at {server} {meaning} ({text:.200})")
    if "max number of clients" in text:
        return OperationalError(f"Redis at {server} has no room for another client ({text:.200})")
    if "invalid password" in text or "without any password configured" in text:
        return ImproperlyConfigured(f"Redis at {server} {_HOPELESS['WRONGPASS']} ({text:.200})")
    if "DB index is out of range" in text:
        return ImproperlyConfigured(f"Redis at {server} has no database of that number")
    for known, meaning in _PASSING.items():
        if word == known or f"{known} " in text[:200]:
            kind = FullServerError if known == "OOM" else OperationalError
            return kind(f"Redis at {server} {meaning} ({text:.200})")
    return OperationalError(f"Redis at {server}: {text:.300}")


def of_greeting(text: str, server: str) -> EngineError:
    """Return the error for a server's error answer to who introduced itself."""
    if "unknown command" in text and "HELLO" in text.upper():
        return ImproperlyConfigured(f"Redis at {server} is too old: 6.2 or later is needed")
    return of_answer(text, server)


def of_connecting(error: BaseException, server: str, *, is_tls: bool = False) -> EngineError:
    """Return the error for a connection that could not be made."""
    for sign, meaning in _TLS_SIGNS.items():
        if sign in str(error):
            return ImproperlyConfigured(f"Redis at {server} {meaning} ({error!s:.200})")
    hint = _hint(error, is_tls=is_tls)
    return BrokerUnreachableError(f"Nobody answers at {server} (Redis): {error!s:.300}{hint}")


def _hint(error: BaseException, *, is_tls: bool) -> str:
    """Return what may be wrong with a server that is there and does not answer: a guess."""
    said = f"{error} {error.__context__}"
    if is_tls and "handshake operation timed out" in said:
        return " (does it speak TLS at all? redis:// is without)"
    if is_tls and "EOF occurred" in said:
        return " (it may want a certificate of ours: ssl_certfile and ssl_keyfile)"
    if not is_tls and ("reset by peer" in said or "closed by server" in said):
        return " (it may want TLS: rediss://)"
    return ""


def of_link(error: BaseException, server: str) -> EngineError:
    """Return the error for a connection that broke or went silent."""
    what = str(error) or type(error).__name__
    return OperationalError(f"The connection to Redis at {server} broke: {what:.200}")
