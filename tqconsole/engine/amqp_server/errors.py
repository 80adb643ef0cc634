"""What RabbitMQ's refusals mean: a wrong configuration, or a failure that passes."""

from __future__ import annotations

import amqp.exceptions as amqp_errors

from tqconsole.engine.exceptions import (
    BrokerUnreachableError,
    EngineError,
    ImproperlyConfigured,
    OperationalError,
)


class ChannelRefusedError(OperationalError):
    """The server refused one thing and closed its channel; the connection goes on.

    `code` is AMQP's: 403 not allowed, 404 not found, 405 locked, 406 other arguments.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def of_connecting(
    error: BaseException, server: str, vhost: str, *, is_someone_there: bool
) -> EngineError:
    """Return the error for a connection that could not be made.

    `is_someone_there`: the port took the connection.
    """
    text = _said(error)
    if isinstance(error, amqp_errors.AccessRefused):
        return ImproperlyConfigured(
            f"RabbitMQ at {server} refuses the user or the password: correct"
            f" amqp://user:password@{server}/vhost ({text})"
        )
    if isinstance(error, amqp_errors.NotAllowed):
        return ImproperlyConfigured(
            f"RabbitMQ at {server} has no virtual host {vhost!r} for this user: create it"
            f" (rabbitmqctl add_vhost, set_permissions) or name another one ({text})"
        )
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return ImproperlyConfigured(
            f"RabbitMQ at {server} shows a certificate that nobody here vouches for: name its"
            f" authority with ca_certs=/path/ca.pem ({text})"
        )
    if "WRONG_VERSION_NUMBER" in text:
        return ImproperlyConfigured(
            f"What answers at {server} speaks no TLS: amqp:// instead of amqps://, or name its TLS"
            f" port ({text})"
        )
    if is_someone_there or not isinstance(error, OSError):
        return BrokerUnreachableError(f"What answers at {server} is no AMQP server ({text})")
    return BrokerUnreachableError(f"Nobody answers at {server} (RabbitMQ): {text}")


def of_channel(error: BaseException, server: str) -> EngineError:
    """Return the error for something that the server refused by closing a channel."""
    text = _said(error)
    code = getattr(error, "reply_code", 0) or 0
    if code == amqp_errors.AccessRefused.code:
        return ImproperlyConfigured(
            f"RabbitMQ at {server} does not allow this user that: rabbitmqctl set_permissions"
            f" ({text})"
        )
    return ChannelRefusedError(f"RabbitMQ at {server}: {text}", code)


def of_link(error: BaseException, server: str) -> EngineError:
    """Return the error for a connection that broke or went silent."""
    return OperationalError(f"The connection to RabbitMQ at {server} broke: {_said(error)}")


def of_setting(error: BaseException) -> EngineError:
    """Return the error for an option that py-amqp does not know."""
    return ImproperlyConfigured(f"broker_login_method or a TLS option is wrong: {_said(error)}")


def blocked(server: str) -> OperationalError:
    """Return the error for a server that takes no messages at the moment."""
    return OperationalError(
        f"RabbitMQ at {server} takes no messages: it is low on memory or disk (an alarm is set)"
    )


def _said(error: BaseException) -> str:
    text = getattr(error, "reply_text", None) or str(error) or type(error).__name__
    return f"{text:.300}"
