"""A handler for applications that know nothing of Lambda.

Set the function's handler to ``lambda_client.run.handler``, and ``DIALBACK_APP=module:name`` in its
environment.

The name may be an ASGI application, a WSGI application, or an ordinary handler, whose return value is
then streamed. Where looking at it does not tell, ``DIALBACK_APP_TYPE`` does: asgi, wsgi or handler.
"""

from __future__ import annotations

import importlib
import inspect
import os
from typing import TYPE_CHECKING, Any

from lambda_client.handlers import streaming

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[Any, Any], Any]

VARIABLE = "DIALBACK_APP"
TYPE_VARIABLE = "DIALBACK_APP_TYPE"


class AppError(Exception):
    """The application cannot be run; the text says which variable to mend."""


def load(name: str, kind: str | None = None) -> Handler:
    """Return the Lambda handler of an application.

    Args:
        name: ``module:attribute``, dots allowed in both.
        kind: ``asgi``, ``wsgi`` or ``handler``; None to find out.

    Raises:
        AppError: there is no such application, or no such kind.
    """
    wrap = _KINDS.get(kind) if kind else None
    if kind and wrap is None:
        raise AppError(f"{TYPE_VARIABLE}={kind}: it is one of {', '.join(_KINDS)}")
    app = _find(name)
    return (wrap or _KINDS[_kind_of(app)])(app)


def _find(name: str) -> Any:
    module_name, colon, attributes = name.partition(":")
    if not colon or not module_name or not attributes:
        raise AppError(f"{VARIABLE}={name}: it is written MODULE:NAME, for example app:app")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the application's own import failed: its traceback says more
        raise AppError(f"{VARIABLE}={name}: there is no module {error.name!r}") from error
    try:
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except AttributeError as error:
        raise AppError(f"{VARIABLE}={name}: {error}") from error
    if not callable(found):
        raise AppError(f"{VARIABLE}={name}: it is a {type(found).__name__}, which cannot be called")
    return found


# ---------------------------------------------------------------- what it is


def _kind_of(app: Any) -> str:
    if _is_asgi(app):
        return "asgi"
    try:
        named = list(inspect.signature(app).parameters)
    except ValueError:  # written in C
        named = []
    return "wsgi" if named[:1] == ["environ"] or named[-1:] == ["start_response"] else "handler"


def _is_asgi(app: object) -> bool:
    """Tell whether it is an async callable with three arguments."""
    for candidate in (app, inspect.getattr_static(type(app), "__call__", None)):
        if inspect.iscoroutinefunction(candidate):
            named = [name for name in inspect.signature(candidate).parameters if name != "self"]
            return len(named) == 3
    return False


# ---------------------------------------------------------------- what is made of it


def _asgi(app: Any) -> Handler:
    from lambda_client.asgi_app import asgi  # brings asyncio

    return asgi(app)


def _wsgi(app: Any) -> Handler:
    from lambda_client.wsgi_app import wsgi

    return wsgi(app)


_KINDS: dict[str, Callable[[Any], Handler]] = {"asgi": _asgi, "wsgi": _wsgi, "handler": streaming}

_loaded: Handler | None = None


def handler(event: Any, context: Any) -> Any:
    """Run the application that the environment names.

    Raises:
        AppError: it names none that can be run.
    """
    return _application()(event, context)


def _application() -> Handler:
    global _loaded  # noqa: PLW0603 - one application per process is the point
    if _loaded is None:
        name = os.environ.get(VARIABLE)
        if not name:
            raise AppError(f"{VARIABLE} is not set: say MODULE:NAME, for example app:app")
        _loaded = load(name, os.environ.get(TYPE_VARIABLE))
    return _loaded


if os.environ.get(VARIABLE):
    _application()  # with the environment's start, where Lambda gives a full CPU, not the first request
