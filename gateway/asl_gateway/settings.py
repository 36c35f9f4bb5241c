# Copyright: (c) 2026, the asl.rescue contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""gateway.conf: `key = value` lines as in /etc/asl, checked with file:line. Secrets are files that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from asl.backends.secret import others_may_read
from asl.config import parse, values
from asl.config.main import convert
from asl.errors import Usage
from asl.names import check_domain

DEFAULT = "/etc/asl-gateway/gateway.conf"


@dataclass(frozen=True)
class Settings:
    """What gateway.conf says. Sizes in bytes, times in seconds; None means not set."""

    listen: tuple[str, int] = ("0.0.0.0", 8443)
    tls_certificate: str | None = None
    tls_key: str | None = None
    place: str = "/srv/asl"  # a directory, or s3://bucket[/prefix]
    domains: tuple[str, ...] = ()
    federation: tuple[str, ...] = ()  # federation.conf files, one a domain that has peers
    spool: str | None = None  # uploads in the making; next to the stores where these lie in a directory
    token_keys: str | None = None
    token_revoked: str | None = None
    receipt_key: str | None = None
    s3_endpoint: str | None = None
    s3_ca: str | None = None
    s3_credentials: str | None = None  # an INI file as the AWS tools have it; None: the usual places
    s3_retention_days: int = 0  # object lock in compliance mode on what is added; 0: none
    workers: int = 1
    requests: int = 256  # at once; more are told to come again
    request_idle: int = 30  # seconds without a byte
    request_seconds: int = 3600
    upload_space: int = 0  # bytes of unfinished uploads at most; 0: what the disk has
    log_level: str = "info"


def _listen(text: str) -> tuple[str, int]:
    host, _colon, port = text.rpartition(":")
    if not port.isdigit() or not 0 <= int(port) < 65536:
        raise ValueError("must be an address and a port, such as 0.0.0.0:8443 or [::]:8443")
    return host.strip("[]") or "0.0.0.0", int(port)


def _domains(text: str) -> tuple[str, ...]:
    found = tuple(text.replace(",", " ").split())
    for name in found:
        try:
            check_domain(name)
        except Usage as error:
            raise ValueError(f"must list domain ids, and {name!r} is none") from error
    return found


def _files(text: str) -> tuple[str, ...]:
    return tuple(values.path(name) for name in text.replace(",", " ").split())


def _place(text: str) -> str:
    if text.startswith("s3://") and len(text) > len("s3://"):
        return text.rstrip("/")
    return values.path(text)


_FILE = values.optional(values.path)
KEYS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "listen": ("listen", _listen),
    "tls.certificate": ("tls_certificate", _FILE),
    "tls.key": ("tls_key", _FILE),
    "place": ("place", _place),
    "domains": ("domains", _domains),
    "federation": ("federation", _files),
    "spool": ("spool", _FILE),
    "token.keys": ("token_keys", _FILE),
    "token.revoked": ("token_revoked", _FILE),
    "receipt.key": ("receipt_key", _FILE),
    "s3.endpoint": ("s3_endpoint", values.optional(str)),
    "s3.ca": ("s3_ca", _FILE),
    "s3.credentials-file": ("s3_credentials", _FILE),
    "s3.retention-days": ("s3_retention_days", values.integer(0, 36500)),
    "workers": ("workers", values.integer(1, 64)),
    "limit.requests": ("requests", values.integer(1, 10000)),
    "limit.idle": ("request_idle", values.integer(1, 3600)),
    "limit.seconds": ("request_seconds", values.integer(10, 86400)),
    "limit.upload-space": ("upload_space", values.size(0, 1 << 50)),
    "log.level": ("log_level", values.choice("debug", "info", "warning", "error")),
}


def load(path: str | None = None, overrides: Mapping[str, str] | None = None) -> Settings:
    """gateway.conf, typed and checked. Raises Usage (CONFIG_INVALID) with file:line."""
    entries = parse.read(path, DEFAULT, overrides or {})
    parse.refuse_unknown(entries, KEYS)
    settings = Settings(**{KEYS[key][0]: convert(key, entry, KEYS[key][1]) for key, entry in entries.items()})
    named = path or DEFAULT
    for key in ("tls.certificate", "tls.key", "token.keys", "domains"):
        if not getattr(settings, KEYS[key][0]):
            raise parse.invalid(named, f"{key} is not set", f"set {key} = …")
    if settings.place.startswith("s3://") and not settings.spool:
        raise parse.invalid(named, "the place is a bucket, but spool is not set", "set spool = a folder for uploads in the making")
    return settings


def secret(path: str, what: str) -> str:
    """The text of a file that nobody else may read. Raises Usage; never repeats what is in it."""
    try:
        with open(path, encoding="utf-8") as file:
            exposed, text = others_may_read(file.fileno()), file.read(1 << 20)
    except (OSError, UnicodeDecodeError) as error:
        why = (getattr(error, "strerror", None) or "it is not text").lower()
        raise Usage(f"{what} {path}: cannot be read: {why}", reason="SECRET_FILE", hint="check the path and its owner") from error
    if exposed:
        hint = f"chmod 0600 {path}, and change what is in it if others could read it"
        raise Usage(f"{what} {path}: others may read it", reason="SECRET_FILE", hint=hint)
    return text
