"""Settings of the gateway: one TOML file, overridden by ``DIALBACK_*`` variables.

Nothing here reads the process environment or the clock: both come in as arguments. A wrong value is
a `ConfigError` of one line that names the file (or the variable), the key, and what to do.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from gateway.address import Address, Network
from gateway.callback_url import fill_in
from gateway.config_checks import CERTIFICATES, check
from gateway.config_lines import Lines
from gateway.config_texts import meaning, seconds
from gateway.errors import ConfigError
from gateway.route_settings import (
    AuthMode,
    DisconnectMode,
    PathMatch,
    PayloadVersion,
    RequestBodyMode,
    RequiredHeader,
    RouteSettings,
    RouteTable,
    read_route,
)
from gateway.rules import Cors
from gateway.secret import PREFIX as SECRET
from gateway.timing import Timing
from protocol.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.log import LogFormat, LogLevel
    from gateway.secret import Variable

DRAIN_DEADLINE = 25.0
"""Seconds to finish what is begun: ECS kills 30 s after SIGTERM, and the rest needs a moment."""

CONNECTIONS = 20_000
"""Each costs some 50 KiB while it is idle: this is a gigabyte. More clients want more gateways."""

MEMORY_BUDGET = 512 * MIB
"""Two thousand streams whose readers are slow, at their first window."""

ENV_PREFIX = "DIALBACK_"

TEXT_VARIABLE = "DIALBACK_TOML"
"""Holds the file's text where there is no file: containers of ECS have variables, and no mounted settings."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What concerns the process as a whole: the ``[gateway]`` table.

    Attributes:
        edge: where clients come in.
        callback: where functions dial back.
        admin: where operators look; loopback unless told otherwise.
        admin_names: host names under which it may be asked, beside localhost, addresses and the name in
            `admin`; others could be a web page's that points here.
        callback_url: ws:// or wss:// base that functions dial (``/v1/attach`` is appended); absent:
            the callback listener's own address, wss:// when it has a certificate. ``{worker}`` and ``{port}`` stand for each worker's own, ``{host}`` for this machine's address.
        workers: processes that share the edge's port; each has a callback port of its own, this one and
            those that follow it.
        trusted_proxies: networks of the proxies whose X-Forwarded-* and Forwarded headers are believed.
        token_keys: files that hold the keys of attach tokens, the signing one first, or
            ``env:DIALBACK_SECRET_...`` for a variable that holds one; none means a random key, good for one
            process.
        edge_certificate: PEM file with the chain that the edge shows; absent: no TLS.
        edge_key: PEM file with its private key; absent: it is in the same file.
        callback_certificate: the same for the callback listener. A function trusts a private CA by its
            variable DIALBACK_CA_FILE.
        callback_key: likewise.
        connections: at the edge, at most; beyond, they are reset. Functions may have as many, and those that
            are parked.
        connections_per_address: at the edge from one address, trusted proxies excepted; absent: as many as
            there may be. For a gateway that meets its clients without a proxy.
        memory_budget: bytes of bodies that all exchanges may hold together; beyond, nothing new begins.
        drain_deadline: seconds to finish what is begun after SIGTERM.
        log_level: the least severe level that is logged, of ``debug``, ``info``, ``warning``, ``error``.
        log_format: ``json`` lines, ``text`` for people, ``auto``: text on a terminal.
        log_query: whether the lines of requests show their query strings; people put secrets there.
        timing: the timers; ``[gateway.timing]``.
    """

    edge: Address = Address("127.0.0.1", 8080)
    callback: Address = Address("127.0.0.1", 8081)
    admin: Address = Address("127.0.0.1", 9090)
    admin_names: tuple[str, ...] = ()
    callback_url: str | None = None
    workers: int = 1
    trusted_proxies: tuple[Network, ...] = ()
    token_keys: tuple[Path | Variable, ...] = ()
    edge_certificate: Path | None = None
    edge_key: Path | None = None
    callback_certificate: Path | None = None
    callback_key: Path | None = None
    connections: int = CONNECTIONS
    connections_per_address: int | None = None
    memory_budget: int = MEMORY_BUDGET
    drain_deadline: float = DRAIN_DEADLINE
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"
    log_query: bool = False
    timing: Timing = Timing()

    @property
    def names_of_admin(self) -> tuple[str, ...]:
        """The host names under which the admin listener may be asked."""
        return (self.admin.host, *self.admin_names)

    def dialled_at(self, callback: Address, worker: int = 0) -> str:
        """Return what functions dial to reach a worker whose callback listener is at this address.

        Raises:
            ConfigError: that is this machine's own address, and there is none.
        """
        if self.callback_url is None:
            scheme = "ws" if self.callback_certificate is None else "wss"
            return f"{scheme}://{callback}"
        try:
            return fill_in(self.callback_url, worker=worker, port=callback.port)
        except ValueError as error:
            raise ConfigError(f"gateway.callback_url: {error}") from error


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the gateway is told: `gateway` for the process, `routes` for what it serves."""

    gateway: GatewaySettings
    routes: tuple[RouteSettings, ...]


class GatewayTable(msgspec.Struct, forbid_unknown_fields=True):
    """The ``[gateway]`` table as it stands in the file; see `GatewaySettings`."""

    edge: str | None = None
    callback: str | None = None
    admin: str | None = None
    admin_names: list[str] | None = None
    callback_url: str | None = None
    workers: int | None = None
    trusted_proxies: list[str] | None = None
    token_keys: list[str] | None = None
    edge_certificate: str | None = None
    edge_key: str | None = None
    callback_certificate: str | None = None
    callback_key: str | None = None
    connections: int | None = None
    connections_per_address: int | None = None
    memory_budget: int | None = None
    drain_deadline: float | None = None
    log_level: str | None = None
    log_format: str | None = None
    log_query: bool | None = None
    timing: Timing | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    gateway: GatewayTable = msgspec.field(default_factory=GatewayTable)
    routes: list[RouteTable] = []


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read a configuration file, and let the environment override its ``[gateway]`` keys.

    Args:
        path: the TOML file, None for the text in `TEXT_VARIABLE`; relative paths in it start from its
            directory, or from where one stands.
        environ: the process environment.

    Raises:
        ConfigError: a value is wrong; one line that names it.
    """
    name = TEXT_VARIABLE if path is None else str(path)
    base = Path() if path is None else path.parent
    text = _text_variable(environ) if path is None else _read_text(path)
    lines = Lines(text)
    tables = _convert(_read_toml(text, name), name, lines)
    gateway = GatewaySettings()
    for key, value in _present(tables.gateway):
        where = f"{name}: {lines.at(f'gateway.{key}')}"
        gateway = _set(gateway, key, value, where, base)
    gateway = from_environment(gateway, environ)
    routes = tuple(
        read_route(table, f"{name}: {lines.at(f'routes[{i}]')}", base)
        for i, table in enumerate(tables.routes)
    )
    if not routes:
        raise ConfigError(f"{name}: there are no routes; add a [[routes]] table: path and target")
    return Settings(gateway, routes)


def from_environment(settings: GatewaySettings, environ: Mapping[str, str]) -> GatewaySettings:
    """Let ``DIALBACK_*`` variables override settings; relative paths start where one stands.

    Raises:
        ConfigError: a value is wrong, or no setting has that name.
    """
    for name in sorted(environ):
        if name == TEXT_VARIABLE or name.startswith(SECRET):
            continue
        if name.startswith(ENV_PREFIX):
            key = ENVIRONMENT.get(name)
            if key is None:
                raise ConfigError(f"{name}: no such setting{_nearest(name, list(ENVIRONMENT))}")
            if key in Timing.__struct_fields__:
                timing = _timing(settings.timing, key, name, environ[name])
                settings = replace(settings, timing=timing)
            else:
                settings = _set(settings, key, meaning(key, name, environ[name]), name, Path())
    return settings


ENVIRONMENT: dict[str, str] = {
    "DIALBACK_EDGE": "edge",
    "DIALBACK_CALLBACK": "callback",
    "DIALBACK_ADMIN": "admin",
    "DIALBACK_ADMIN_NAMES": "admin_names",  # separated by commas
    "DIALBACK_CALLBACK_URL": "callback_url",
    "DIALBACK_WORKERS": "workers",
    "DIALBACK_TRUSTED_PROXIES": "trusted_proxies",  # networks, separated by commas
    "DIALBACK_TOKEN_KEYS": "token_keys",  # files, likewise
    **{f"DIALBACK_{key.upper()}": key for key in CERTIFICATES},
    "DIALBACK_CONNECTIONS": "connections",
    "DIALBACK_CONNECTIONS_PER_ADDRESS": "connections_per_address",
    "DIALBACK_MEMORY_BUDGET": "memory_budget",
    "DIALBACK_DRAIN_DEADLINE": "drain_deadline",
    "DIALBACK_LOG_LEVEL": "log_level",
    "DIALBACK_LOG_FORMAT": "log_format",
    "DIALBACK_LOG_QUERY": "log_query",
    **{f"DIALBACK_{key.upper()}": key for key in Timing.__struct_fields__},
}
"""Every variable that the gateway reads, and the key of ``[gateway]`` or ``[gateway.timing]`` that it
overrides."""


# ---------------------------------------------------------------- the file


def _text_variable(environ: Mapping[str, str]) -> str:
    text = environ.get(TEXT_VARIABLE)
    if text is None:
        raise ConfigError(
            f"no settings: add --config FILE.toml, or put its text into {TEXT_VARIABLE}"
        )
    return text


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; name an existing TOML file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a TOML file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from error


def _read_toml(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers and lists that Python itself refuses
        raise ConfigError(f"{name}: is not TOML: {error}") from error


def _convert(tables: dict[str, Any], name: str, lines: Lines) -> _File:
    try:
        return msgspec.convert(tables, _File)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {_explain(str(error), lines)}") from error


_NOWHERE = Lines("")

_KINDS = {
    "str": "a string in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "object": "a table",
    "array": "a list",
}
"""Of values, as msgspec calls them and as people do who write TOML."""

_HEADERS = {"gateway": "[gateway]", "gateway.timing": "[gateway.timing]", "routes": "[[routes]]"}


def _explain(message: str, lines: Lines = _NOWHERE) -> str:
    """Turn msgspec's ``problem - at `$.place``` into ``place: problem``."""
    problem, _, place = message.partition(" - at ")
    at = re.sub(r"^\$\.?", "", place.strip("`")).replace("[...]", "")
    problem = problem.replace(" | null", "")  # TOML has none
    found = re.fullmatch(r"Object (contains unknown|missing required) field `(.+)`", problem)
    if found is not None:
        key = f"{at}.{found[2]}" if at else found[2]
        if found[1] == "missing required":
            return f"{lines.at(key)}: is required; add it"
        return f"{lines.at(key)}: no such key{_nearest(found[2], _keys_of(at))}"
    problem = re.sub(r"`(\w+)`", lambda kind: _KINDS.get(kind[1], kind[1]), problem).replace(
        "`", ""
    )
    wrong = re.fullmatch(r"Invalid enum value ('.*')", problem)
    if wrong is not None:
        words = get_args(_WORDS[at.rpartition(".")[2]])
        return f"{lines.at(at)}: {wrong[1]} is none of {', '.join(words)}"
    form = f"; write {_HEADERS[at]}" if at in _HEADERS else ""
    return f"{lines.at(at)}: {problem[:1].lower()}{problem[1:]}{form}" if at else problem


def _keys_of(place: str) -> list[str]:
    tables: dict[str, type[msgspec.Struct]] = {
        "": _File,
        "gateway": GatewayTable,
        "gateway.timing": Timing,
        "cors": Cors,
        "require_header": RequiredHeader,
    }
    table = tables.get(place) or tables.get(place.rpartition(".")[2], RouteTable)
    return list(table.__struct_fields__)


# The keys of a route with words to choose from.
_WORDS: dict[str, Any] = {
    "request_body": RequestBodyMode,
    "match": PathMatch,
    "payload": PayloadVersion,
    "auth": AuthMode,
    "on_disconnect": DisconnectMode,
}


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"


# ---------------------------------------------------------------- the gateway's table


def _present(table: GatewayTable) -> Iterator[tuple[str, Any]]:
    values = ((key, getattr(table, key)) for key in table.__struct_fields__)
    return ((key, value) for key, value in values if value is not None)


def _set(
    settings: GatewaySettings, key: str, value: Any, where: str, base: Path
) -> GatewaySettings:
    try:
        checked = check(key, value, base)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error
    return replace(settings, **{key: checked})


def with_workers(settings: GatewaySettings, count: int, where: str) -> GatewaySettings:
    """Return the settings for so many workers; `where` names the number in an error.

    Raises:
        ConfigError: it is too large.
    """
    return _set(settings, "workers", count, where, Path())


def _timing(timing: Timing, key: str, name: str, text: str) -> Timing:
    try:
        return msgspec.convert({**msgspec.structs.asdict(timing), key: seconds(name, text)}, Timing)
    except msgspec.ValidationError as error:
        problem = _explain(str(error)).removeprefix(f"{key}: ")
        raise ConfigError(f"{name}: {problem}") from None
