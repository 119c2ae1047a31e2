"""From the settings of a route to its rules: names checked, the secret read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.rules import DoorKey, HeaderEdit, Rules

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from gateway.route_settings import RequiredHeader, RouteSettings

SECRET_MIN = 16
"""Bytes; a shorter one could be guessed by asking."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
# What says how a message is framed, and what the gateway says of itself or of the client.
_OURS = re.compile(
    r"connection|content-length|transfer-encoding|host|x-dialback.*|x-forwarded-.*", re.IGNORECASE
)


def build_rules(one: RouteSettings) -> Rules:
    """Make the rules of a route.

    Raises:
        ValueError: a header's name or value is none, or the secret cannot be read.
    """
    key, cors = one.require_header, one.cors
    if cors is not None:
        lists = (cors.allow_origins, cors.allow_methods, cors.allow_headers, cors.expose_headers)
        if not all(_VALUE.fullmatch(text) for texts in lists for text in texts):
            raise ValueError("cors: a value is not printable ASCII")
    return Rules(
        key=None if key is None else _key(key, one),
        cors=cors,
        request=_edit("request_headers", one.request_headers_add, one.request_headers_remove),
        response=_edit("headers", one.headers_add, one.headers_remove),
    )


def _edit(setting: str, added: Mapping[str, str], removed: Collection[str]) -> HeaderEdit | None:
    for name in (*added, *removed):
        _check_name(f"{setting}_{'add' if name in added else 'remove'}", name)
    for name, value in added.items():
        if not _VALUE.fullmatch(value):
            raise ValueError(f"{setting}_add: the value of {name} is not printable ASCII")
    return HeaderEdit.of(added.items(), removed) if added or removed else None


def _check_name(setting: str, name: str) -> None:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{setting}: {name!r} is no name of a header")
    if _OURS.fullmatch(name):
        raise ValueError(f"{setting}: {name} is the gateway's own affair")


def _key(required: RequiredHeader, one: RouteSettings) -> DoorKey:
    _check_name("require_header.name", required.name)
    file = one.base / required.secret_file
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise ValueError(f"require_header.secret_file: {file}: {error.strerror}") from error
    if len(secret) < SECRET_MIN:
        raise ValueError(f"require_header.secret_file: {file} holds less than {SECRET_MIN} bytes")
    return DoorKey(required.name.lower().encode(), secret)
