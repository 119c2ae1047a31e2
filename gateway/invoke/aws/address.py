"""Where a function of AWS is called."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from gateway.targets import AwsTarget


def invoke_url(target: AwsTarget, endpoint: str) -> str:
    """Return the URL to POST an event to.

    Args:
        target: the function.
        endpoint: scheme and host of the region's Lambda API, e.g.
            ``https://lambda.eu-west-1.amazonaws.com``.
    """
    # Everything but RFC 3986's unreserved characters is escaped, as AWS's own clients do.
    path = f"/2015-03-31/functions/{quote(target.name, safe='')}/invocations"
    query = "" if target.qualifier is None else f"?Qualifier={quote(target.qualifier, safe='')}"
    return endpoint.rstrip("/") + path + query


def target_of(url: str) -> str:
    """Return path and query of a URL as they stand in it: what was signed is not written anew."""
    path = url.partition("://")[2].partition("#")[0]
    start = min((at for at in map(path.find, "/?") if at >= 0), default=len(path))
    rest = path[start:]
    return rest if rest.startswith("/") else "/" + rest
