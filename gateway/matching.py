"""How a request finds what is said about its host and path: the most specific pattern wins.

Hosts: a name before ``*.example.com``, the longer of two of those first, then none. Within a host:
a whole path before a template before a prefix; of two templates the one with more literal
characters, of two prefixes the longer one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Generic, Literal, TypeVar
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

PathKind = Literal["exact", "template", "prefix"]

T = TypeVar("T")

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(\+?)\}")
_HOST = re.compile(r"(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")


def check_host(text: str) -> str:
    """Return a host pattern in lower case.

    Raises:
        ValueError: it is neither a host name nor ``*.`` and one.
    """
    host = text.lower()
    if not _HOST.fullmatch(host):
        raise ValueError(f"host {text!r} is neither example.com nor *.example.com, without a port")
    return host


def template_pattern(path: str) -> re.Pattern[str]:
    """Return what a template matches: ``{name}`` a segment, ``{name+}`` at the end the rest.

    Raises:
        ValueError: its braces are not such variables, each a whole segment.
    """
    segments = path.split("/")
    parts = []
    for position, segment in enumerate(segments):
        variable = _VARIABLE.fullmatch(segment)
        if variable is None:
            if "{" in segment or "}" in segment:
                raise ValueError(f"{segment!r} in a path is no whole segment like {{id}}")
            parts.append(re.escape(segment))
        elif not variable[2]:
            parts.append("[^/]+")
        elif position == len(segments) - 1:
            parts.append(".+")
        else:
            raise ValueError(f"{segment!r} takes all that follows; it must be the last segment")
    return re.compile("/".join(parts))


_ODD_SPELLING = re.compile(r"[%;\\]|/[/.]|.+/$")


def as_read(path: str, *, resolved: bool = True) -> str:
    """Return a raw path as applications may read it.

    Some decode it, some join slashes, take a backslash for a slash, or leave out ``.``, parameters (``;``) and
    a slash at the end. What all of them do is done here.

    Args:
        path: raw.
        resolved: whether ``..`` takes away what stands before it; to ASGI applications it is a name.
    """
    if not _ODD_SPELLING.search(path):
        return path
    kept: list[str] = []
    for segment in unquote(path).replace("\\", "/").split("/"):
        name = segment.partition(";")[0]
        if name == ".." and resolved:
            del kept[-1:]
        elif name not in {"", "."}:
            kept.append(name)
    return "/" + "/".join(kept)


def sample(path: str) -> str:
    """Return a path that a template matches: its variables are replaced by their names."""
    return _VARIABLE.sub(r"\1", path)


class Site(Generic[T]):
    """The paths of one host, each with a value."""

    def __init__(self) -> None:
        self._exact: dict[str, T] = {}
        self._templates: dict[str, tuple[re.Pattern[str], T]] = {}
        self._prefixes: dict[str, T] = {}
        self._depth = 0

    def get(self, kind: PathKind, path: str) -> T | None:
        """Return what was put there; templates that differ in names only are one."""
        if kind == "template":
            found = self._templates.get(template_pattern(path).pattern)
            return None if found is None else found[1]
        return (self._exact if kind == "exact" else self._prefixes).get(path)

    def put(self, kind: PathKind, path: str, value: T) -> None:
        """Put a value there."""
        if kind == "exact":
            self._exact[path] = value
        elif kind == "prefix":
            self._prefixes[path] = value
            self._depth = max(self._depth, path.count("/"))
        else:
            pattern = template_pattern(path)
            self._templates[pattern.pattern] = (pattern, value)
            by_literals = sorted(self._templates.items(), key=lambda item: _literals(item[0]))
            self._templates = dict(reversed(by_literals))

    def matches(self, path: str) -> Iterator[T]:
        """Yield the values whose paths match a raw request path, the most specific first."""
        if (value := self._exact.get(path)) is not None:
            yield value
        for pattern, value in self._templates.values():
            if pattern.fullmatch(path):
                yield value
        # Never looks deeper than the deepest route, however many slashes a client sends.
        prefix = "/".join(path.split("/", self._depth + 1)[: self._depth + 1])
        while prefix:
            if (value := self._prefixes.get(prefix)) is not None:
                yield value
            prefix = prefix[: prefix.rindex("/")]
        if (value := self._prefixes.get("/")) is not None:
            yield value


class Sites(Generic[T]):
    """The sites of all hosts."""

    def __init__(self) -> None:
        self._any: Site[T] = Site()
        self._hosts: dict[str, Site[T]] = {}

    def __iter__(self) -> Iterator[Site[T]]:
        yield from self._hosts.values()
        yield self._any

    def site(self, host: str | None) -> Site[T]:
        """Return the site of a host pattern, made if need be."""
        return self._any if host is None else self._hosts.setdefault(host, Site())

    def serving(self, host: bytes) -> list[Site[T]]:
        """Return the sites for a Host header, the most specific first."""
        sites: list[Site[T]] = []
        if self._hosts:
            name = _host_name(host)
            if name in self._hosts and not name.startswith("*"):
                sites.append(self._hosts[name])
            while name:
                _, _, name = name.partition(".")
                if (site := self._hosts.get("*." + name)) is not None:
                    sites.append(site)
        sites.append(self._any)
        return sites


def _host_name(header: bytes) -> str:
    text = header.decode("latin-1").lower()
    if not text.endswith("]"):
        name, colon, _ = text.rpartition(":")
        text = name if colon else text
    return text.rstrip(".")


def _literals(pattern: str) -> tuple[int, int]:
    """Count what a template's pattern says literally; one that takes all the rest comes last."""
    return (-pattern.endswith(".+"), len(pattern.replace("[^/]+", "").replace("\\", "")))
