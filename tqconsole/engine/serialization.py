"""Payloads to bytes and back: JSON by our own codec, everything else by kombu's registry.

JSON is the wire's language and on the hot path, so plain values go through msgspec (measured: eight
times the stdlib's rate, equal to orjson, and exact for big integers). What msgspec would write
differently from kombu (NaN, odd keys, subclasses, dates, bytes, UUIDs, Decimals) takes the
stdlib's way with kombu's `{"__type__", "__value__"}` objects. kombu itself is imported only when a
payload is not JSON: pickle, yaml, msgpack, signed ones and those that users registered.

Decoding never runs a decoder that `accept` does not name and raises `RefusedError` only. Its reason
words stand here as literals, because this file lies below `protocol/limits.py`.
"""

from __future__ import annotations

import base64
import importlib
import json
import sys
import uuid
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite
from typing import Any

import msgspec

from tqconsole.engine.exceptions import EncodeError, ImproperlyConfigured, RefusedError

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain"
BINARY_TYPE = "application/data"

_THERE_ARE = " (there are json, msgpack, pickle, yaml, and kombu.serialization.register)"
#: Serializer name -> (content type, content encoding), as kombu registers them (wire.md §0.1).
_SERIALIZERS = {
    "json": (JSON_TYPE, "utf-8"),
    "pickle": ("application/x-python-serialize", "binary"),
    "msgpack": ("application/x-msgpack", "binary"),
    "yaml": ("application/x-yaml", "utf-8"),
    "auth": (BINARY_TYPE, "utf-8"),
    "raw": (BINARY_TYPE, "binary"),
    "text": (TEXT_TYPE, "utf-8"),
}

#: Exact types that msgspec and the stdlib write alike.
_SCALARS = frozenset({str, int, bool, type(None)})
_STR_ONLY = frozenset({str})

_encode_fast = msgspec.json.Encoder().encode
_decode_fast = msgspec.json.Decoder().decode


def encode(value: Any, serializer: str = "json") -> tuple[str, str, bytes]:
    """Return (content type, content encoding, bytes) of `value`.

    `serializer` is a name of kombu's registry or a content type.
    Raises: EncodeError if the value cannot be written; ImproperlyConfigured for an unknown name.
    """
    if serializer in ("json", JSON_TYPE):
        return JSON_TYPE, "utf-8", encode_json(value)
    return _encode_by_kombu(value, serializer)


def decode(payload: bytes, content_type: str, encoding: str, accept: frozenset[str]) -> Any:
    """Return the value in `payload` if `accept` (content types) names its type.

    Raises: RefusedError ("content-type", "undecodable", "too-deep") and nothing else.
    """
    if content_type not in accept:
        raise RefusedError("content-type", f"{content_type!r:.100} is not accepted")
    if content_type == JSON_TYPE:
        return decode_json(payload)
    return _decode_by_kombu(payload, content_type, encoding)


def content_types(accept: Iterable[str]) -> frozenset[str]:
    """Return the content types behind names or content types, as `accept_content` lists them.

    Raises: ImproperlyConfigured for a name that no serializer has.
    """
    return frozenset(_content_type(name) for name in accept)


def encode_json(value: Any, *, is_known_plain: bool = False) -> bytes:
    """Return kombu-compatible JSON, without a look if it is known plain. Raises: EncodeError."""
    plain = encode_plain(value, is_known_plain=is_known_plain)
    if plain is not None:
        return plain
    try:
        return json.dumps(value, default=_reduce).encode()
    except EncodeError:
        raise
    except Exception as error:  # a user's __json__ or __iter__ may raise anything
        raise EncodeError(f"{type(value).__name__} is not JSON: {error}") from error


def encode_plain(value: Any, *, is_known_plain: bool = False) -> bytes | None:
    """Return the JSON of plain values, parts of which may be joined; None for others."""
    try:
        return _encode_fast(value) if is_known_plain or is_plain(value) else None
    except (UnicodeEncodeError, RecursionError, msgspec.MsgspecError):
        # Lone surrogates are legal for the stdlib; what is too deep fails there once more.
        return None


def decode_json(payload: bytes) -> Any:
    """Return the value of kombu-compatible JSON. Raises: RefusedError only."""
    if b"__type__" not in payload:
        try:
            return _decode_fast(payload)
        except RecursionError as error:
            raise RefusedError("too-deep", "nested beyond what the decoder can follow") from error
        except (msgspec.MsgspecError, UnicodeDecodeError):
            # NaN, infinities, a byte order mark, lone surrogates: the stdlib reads them.
            pass
    try:
        return json.loads(payload, object_hook=_restore)
    except RecursionError as error:
        raise RefusedError("too-deep", "nested beyond what the decoder can follow") from error
    except RefusedError:
        raise
    except Exception as error:  # a type registered with kombu may raise anything
        raise RefusedError("undecodable", f"JSON: {_brief(error)}") from error


def is_deeper_than(value: Any, depth: int) -> bool:
    """Return whether lists and maps nest more than `depth` times. Never recurses."""
    level = [value]
    for _ in range(depth):
        containers = [item for item in level if isinstance(item, list | tuple | dict)]
        if not containers:
            return False
        level = []
        for item in containers:
            level.extend(item.values() if isinstance(item, dict) else item)
    return any(isinstance(item, list | tuple | dict) for item in level)


def compress(payload: bytes, method: str) -> tuple[bytes, str]:
    """Return (compressed bytes, content type for the `compression` header).

    Raises: ImproperlyConfigured for an unknown method or a missing package.
    """
    content_type = _COMPRESSION_NAMES.get(method, method)
    match content_type:
        case "application/x-gzip":
            return _module("zlib").compress(payload), content_type
        case "application/x-bz2":
            return _module("bz2").compress(payload), content_type
        case "application/x-lzma":
            return _module("lzma").compress(payload), content_type
        case "application/x-brotli":
            return _extra("brotli", "brotli").compress(payload), content_type
        case "application/zstd":
            return _extra("zstandard", "zstd").ZstdCompressor().compress(payload), content_type
        case _:
            raise ImproperlyConfigured(f"No such compression: {method}")


def decompress(payload: bytes, content_type: str, limit_bytes: int) -> bytes:
    """Return the inflated payload, which may have `limit_bytes` at most.

    The inflater is fed with an output limit: a bomb costs its limit in memory, never its promise.
    Raises: RefusedError ("too-large", "undecodable") and nothing else.
    """
    inflate = _INFLATERS.get(_COMPRESSION_NAMES.get(content_type, content_type))
    if inflate is None:
        raise RefusedError("undecodable", f"unknown compression {content_type!r:.100}")
    try:
        inflated = inflate(payload, limit_bytes + 1)
    except RefusedError:
        raise
    except ImproperlyConfigured as error:
        raise RefusedError("undecodable", str(error)) from error
    except Exception as error:  # six libraries, each with its own error class
        raise RefusedError("undecodable", f"{content_type}: {_brief(error)}") from error
    if len(inflated) > limit_bytes:
        raise RefusedError("too-large", f"inflates to more than {limit_bytes} bytes")
    return inflated


def is_plain(value: Any) -> bool:
    """Return whether msgspec writes `value` as the stdlib would: exact plain types all the way.
    Raises: RecursionError.
    """
    kind = type(value)
    if kind is dict:
        if not _STR_ONLY.issuperset(map(type, value)):
            return False
        items = value.values()
    elif kind is list or kind is tuple:
        items = value
    else:
        return kind in _SCALARS or (kind is float and isfinite(value))
    if _SCALARS.issuperset(map(type, items)):  # at C speed: most containers hold scalars
        return True
    for item in items:  # noqa: SIM110 - half the time of all() with a generator
        if type(item) not in _SCALARS and not is_plain(item):
            return False
    return True


def _tagged(kind: str, value: Any) -> dict[str, Any]:
    return {"__type__": kind, "__value__": value}


def _reduce(value: Any) -> Any:
    """Return what stands for `value` in kombu's JSON. Raises: EncodeError."""
    reducer = getattr(value, "__json__", None)
    if reducer is not None:
        return reducer()
    match value:
        case datetime():
            return _tagged("datetime", value.isoformat())
        case date():
            return _tagged("date", value.isoformat())
        case time():
            return _tagged("time", value.isoformat())
        case Decimal():
            return _tagged("decimal", str(value))
        case uuid.UUID():
            return _tagged("uuid", {"hex": value.hex})
        case bytes():
            return _reduce_bytes(value)
        case _:
            return _reduce_registered(value)


def _reduce_registered(value: Any) -> Any:
    kombu_json = sys.modules.get("kombu.utils.json")
    if kombu_json is not None:
        # Types that users registered with kombu.
        return kombu_json.JSONEncoder().default(value)
    raise EncodeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _reduce_bytes(value: bytes) -> dict[str, Any]:
    try:
        return _tagged("bytes", value.decode())
    except UnicodeDecodeError:
        return _tagged("base64", base64.b64encode(value).decode())


_RESTORERS: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": lambda text: datetime.fromisoformat(text).date(),
    "time": time.fromisoformat,
    "decimal": Decimal,
    "uuid": lambda fields: uuid.UUID(**fields),
    "bytes": lambda text: text.encode(),
    "base64": base64.b64decode,
}


def _restore(fields: dict[str, Any]) -> Any:
    """Return the Python value of a tagged object, any other map unchanged."""
    if len(fields) != 2 or "__type__" not in fields or "__value__" not in fields:
        return fields
    kind = fields["__type__"]
    restorer = _RESTORERS.get(kind) if isinstance(kind, str) else None
    if restorer is not None:
        return restorer(fields["__value__"])
    kombu_json = sys.modules.get("kombu.utils.json")
    if kombu_json is not None and isinstance(kind, str):
        return kombu_json.object_hook(fields)
    raise RefusedError("undecodable", f"unknown JSON type {kind!r:.100}")


def _content_type(name: str) -> str:
    if "/" in name:
        return name
    if name in _SERIALIZERS:
        return _SERIALIZERS[name][0]
    registered = _kombu_registry().name_to_type.get(name)
    if registered is None:
        raise ImproperlyConfigured(f"No such serializer: {name}{_THERE_ARE}")
    return str(registered)


def _kombu_registry() -> Any:
    """Return kombu's serializer registry; this is where kombu is imported, if ever."""
    return importlib.import_module("kombu.serialization").registry


def _encode_by_kombu(value: Any, serializer: str) -> tuple[str, str, bytes]:
    registry = _kombu_registry()
    name = registry.type_to_name.get(serializer, serializer)
    if name not in registry.name_to_type and name != "raw":
        raise ImproperlyConfigured(
            f"No such serializer: {serializer}"
            + (f" (install tqconsole[{name}])" if name in _SERIALIZERS else _THERE_ARE)
        )
    try:
        content_type, encoding, payload = registry.dumps(value, name)
    except Exception as error:  # a user's serializer or __reduce__ may raise anything
        raise EncodeError(f"{type(value).__name__} by {name}: {_brief(error)}") from error
    return content_type, encoding, payload.encode() if isinstance(payload, str) else payload


def _decode_by_kombu(payload: bytes, content_type: str, encoding: str) -> Any:
    try:
        return _kombu_registry().loads(
            payload, content_type, encoding, accept=frozenset({content_type})
        )
    except Exception as error:  # pickles and users' serializers may raise anything
        raise RefusedError("undecodable", f"{content_type}: {_brief(error)}") from error


def _brief(error: BaseException) -> str:
    return f"{type(error).__name__}: {error!s:.200}"


#: kombu's names -> content types; "gzip" is a zlib stream (wire.md §0.1).
_COMPRESSION_NAMES = {
    "gzip": "application/x-gzip",
    "zlib": "application/x-gzip",
    "bzip2": "application/x-bz2",
    "bzip": "application/x-bz2",
    "lzma": "application/x-lzma",
    "xz": "application/x-lzma",
    "brotli": "application/x-brotli",
    "zstd": "application/zstd",
    "zstandard": "application/zstd",
}


def _module(name: str) -> Any:
    return importlib.import_module(name)


def _extra(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImproperlyConfigured(f"{extra} compression: install tqconsole[{extra}]") from error


def _inflate_zlib(payload: bytes, limit_bytes: int) -> bytes:
    # 32 + 15: also real gzip streams, which other senders may write under this name.
    return _finished(_module("zlib").decompressobj(47), payload, limit_bytes)


def _inflate_bz2(payload: bytes, limit_bytes: int) -> bytes:
    return _finished(_module("bz2").BZ2Decompressor(), payload, limit_bytes)


def _inflate_lzma(payload: bytes, limit_bytes: int) -> bytes:
    # The dictionary of a hostile stream may not ask for more than the output's limit.
    lzma = _module("lzma")
    inflater = lzma.LZMADecompressor(memlimit=max(limit_bytes, 1 << 26))
    return _finished(inflater, payload, limit_bytes)


def _inflate_zstd(payload: bytes, limit_bytes: int) -> bytes:
    inflater = _extra("zstandard", "zstd").ZstdDecompressor().decompressobj()
    # 256 bytes hold 64 blocks of 128 KiB at most.
    inflated = _fed(inflater.decompress, payload, 256, limit_bytes)
    if len(inflated) < limit_bytes and not inflater.eof:
        raise RefusedError("undecodable", "zstd stream is cut")
    return inflated


def _inflate_brotli(payload: bytes, limit_bytes: int) -> bytes:
    inflater = _extra("brotli", "brotli").Decompressor()
    # Sixteen bytes hold two blocks of 16 MiB at most.
    inflated = _fed(inflater.process, payload, 16, limit_bytes)
    if len(inflated) < limit_bytes and not inflater.is_finished():
        raise RefusedError("undecodable", "brotli stream is cut")
    return inflated


def _fed(
    inflate: Callable[[bytes], bytes], payload: bytes, step_bytes: int, limit_bytes: int
) -> bytes:
    """Feed an inflater that knows no output limit in steps, until the limit is reached."""
    parts: list[bytes] = []
    size_bytes = 0
    for start in range(0, len(payload), step_bytes):
        parts.append(inflate(payload[start : start + step_bytes]))
        size_bytes += len(parts[-1])
        if size_bytes >= limit_bytes:
            break
    return b"".join(parts)


def _finished(inflater: Any, payload: bytes, limit_bytes: int) -> bytes:
    inflated: bytes = inflater.decompress(payload, limit_bytes)
    if len(inflated) < limit_bytes and not inflater.eof:
        raise RefusedError("undecodable", "compressed stream is cut")
    return inflated


_INFLATERS: dict[str, Callable[[bytes, int], bytes]] = {
    "application/x-gzip": _inflate_zlib,
    "application/x-bz2": _inflate_bz2,
    "application/x-lzma": _inflate_lzma,
    "application/x-brotli": _inflate_brotli,
    "application/zstd": _inflate_zstd,
}
