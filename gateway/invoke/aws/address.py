"""Where a function of AWS is called: from its name or ARN to the URL of its Invoke API."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

# API reference, Invoke, FunctionName: a name, a partial ARN (account:function:name) or a full one,
# each with or without a qualifier ($LATEST, a version number, or an alias).
_REFERENCE: Final = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:(?P<region>[a-z0-9-]+):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[A-Za-z0-9_-]{1,64})(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]{1,128}))?"
)


@dataclass(frozen=True, slots=True)
class FunctionReference:
    """A function as its owner names it.

    Attributes:
        name: what the Invoke API takes as FunctionName: name, partial or full ARN, unqualified.
        short_name: the name alone, for people.
        qualifier: version, alias or ``$LATEST``; None: the unpublished version.
        region: the one that an ARN names, or None.
    """

    name: str
    short_name: str
    qualifier: str | None
    region: str | None

    @classmethod
    def parse(cls, text: str) -> FunctionReference:
        """Read a name or an ARN, with or without ``:qualifier``.

        Raises:
            ValueError: it is neither.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None or (match["region"] is not None and match["account"] is None):
            raise ValueError(f"{text!r} is neither the name nor the ARN of a Lambda function")
        qualifier: str | None = match["qualifier"]
        name = text if qualifier is None else text.removesuffix(f":{qualifier}")
        return cls(name, match["name"], qualifier, match["region"])

    def invoke_url(self, endpoint: str) -> str:
        """Return the URL to POST an event to.

        Args:
            endpoint: scheme and host of the region's Lambda API, e.g.
                ``https://lambda.eu-west-1.amazonaws.com``.
        """
        # Everything but RFC 3986's unreserved characters is escaped, as AWS's own clients do.
        path = f"/2015-03-31/functions/{quote(self.name, safe='')}/invocations"
        query = "" if self.qualifier is None else f"?Qualifier={quote(self.qualifier, safe='')}"
        return endpoint.rstrip("/") + path + query
