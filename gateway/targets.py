"""What a route points to, as its owner writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PREFIX = "function_url:"
_URL = re.compile(r"https?://[^/?#\s]+/?")
# "https://<url-id>.lambda-url.<region>.on.aws" (Lambda developer guide, Function URLs).
_URL_REGION = re.compile(r"https://[^.]+\.lambda-url\.(?P<region>[a-z0-9-]+)\.on\.aws/?")
# API reference, Invoke, FunctionName: a name, a partial ARN (account:function:name) or a full one,
# each with or without a qualifier ($LATEST, a version number, or an alias).
_REFERENCE: Final = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:(?P<region>[a-z0-9-]+):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[A-Za-z0-9_-]{1,64})(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]{1,128}))?"
)


@dataclass(frozen=True, slots=True)
class LocalTarget:
    """A function that the emulated Lambda runs.

    Attributes:
        file: the Python file, absolute.
        handler: the name in that file, dots allowed.
        env: variables added to the function's environment.
    """

    file: Path
    handler: str
    env: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def parse(cls, text: str, base: Path, env: Mapping[str, str] | None = None) -> LocalTarget:
        """Read ``local:FILE.py:HANDLER`` or ``FILE.py:HANDLER``.

        Args:
            text: the target.
            base: the directory that a relative file starts from.
            env: variables added to the function's environment.

        Raises:
            ValueError: it is not that.
        """
        file, colon, handler = text.removeprefix("local:").rpartition(":")
        if not colon or not file.endswith(".py") or not _is_dotted_name(handler):
            raise ValueError(
                f"target {text!r} is neither FILE.py:HANDLER, such as app.py:handler,"
                " nor aws:NAME-OR-ARN, nor function_url:https://HOST"
            )
        return cls((base / file).resolve(), handler, dict(env or {}))

    @property
    def short_name(self) -> str:
        """What names of functions are made from."""
        return f"{self.file.stem}-{self.handler}"

    @override
    def __str__(self) -> str:
        """Return it as people read it."""
        return f"{self.file}:{self.handler}"


@dataclass(frozen=True, slots=True)
class AwsTarget:
    """A function of an AWS account, called by the Invoke API.

    Attributes:
        name: what the Invoke API takes as FunctionName: name, partial or full ARN, unqualified.
        short_name: the name alone, for people.
        qualifier: version, alias or ``$LATEST``; None: the unpublished version.
        region: the one that the ARN or the route names, or None.
        endpoint: URL of the Lambda API instead of the region's own, or None.
    """

    name: str
    short_name: str
    qualifier: str | None = None
    region: str | None = None
    endpoint: str | None = None

    @classmethod
    def parse(
        cls, text: str, *, region: str | None = None, endpoint: str | None = None
    ) -> AwsTarget:
        """Read ``aws:NAME`` or ``aws:ARN``, with or without ``:QUALIFIER``.

        Args:
            text: the target.
            region: where it is; needed where there is no ARN and AWS_REGION is not set.
            endpoint: see the class.

        Raises:
            ValueError: it is not that, or the region is not that of the ARN.
        """
        match = _REFERENCE.fullmatch(text.removeprefix("aws:"))
        if match is None or (match["region"] is not None and match["account"] is None):
            raise ValueError(
                f"target {text!r}: after aws: the name or the ARN of a Lambda function is wanted"
            )
        qualifier: str | None = match["qualifier"]
        name: str = match[0] if qualifier is None else match[0].removesuffix(f":{qualifier}")
        if None not in (region, match["region"]) and region != match["region"]:
            raise ValueError(f"target {text!r} is in {match['region']}, not in {region}")
        return cls(name, match["name"], qualifier, match["region"] or region, endpoint)

    @override
    def __str__(self) -> str:
        """Return it as people read it."""
        return f"aws:{self.name}" + (f":{self.qualifier}" if self.qualifier else "")


@dataclass(frozen=True, slots=True)
class UrlTarget:
    """A function behind its Function URL.

    Attributes:
        url: scheme and host.
        signed: calls carry an IAM signature.
        region: whose, or None.
    """

    url: str
    signed: bool
    region: str | None = None

    @classmethod
    def parse(
        cls, text: str, *, auth: Literal["none", "iam"], region: str | None = None
    ) -> UrlTarget:
        """Read ``function_url:https://...``.

        Args:
            text: the target.
            auth: the URL's AuthType.
            region: where it is; a URL of AWS's own tells it.

        Raises:
            ValueError: it is not that.
        """
        url = text.removeprefix(_PREFIX)
        if not _URL.fullmatch(url):
            raise ValueError(
                f"target {text!r}: after {_PREFIX} scheme and host of a URL are wanted"
            )
        found = _URL_REGION.fullmatch(url)
        return cls(url, auth == "iam", region or (found["region"] if found else None))

    @property
    def short_name(self) -> str:
        """What names of functions are made from."""
        return self.url.partition("://")[2].partition(".")[0]

    @override
    def __str__(self) -> str:
        """Return it as people read it."""
        return f"{_PREFIX}{self.url}"


Target = LocalTarget | AwsTarget | UrlTarget


def parse_target(
    text: str,
    base: Path,
    *,
    env: Mapping[str, str] | None = None,
    region: str | None = None,
    endpoint: str | None = None,
    auth: Literal["none", "iam"] | None = None,
) -> Target:
    """Read a target of any kind.

    Raises:
        ValueError: it is none, or a setting beside it belongs to another kind.
    """
    if env and text.startswith(("aws:", _PREFIX)):
        raise ValueError(f"target {text!r}: env is for local functions; set it on AWS")
    if text.startswith(_PREFIX):
        if endpoint is not None:
            raise ValueError(f"target {text!r}: endpoint is for aws: targets")
        return UrlTarget.parse(text, auth=auth or "none", region=region)
    if auth is not None:
        raise ValueError(f"target {text!r}: auth is for {_PREFIX} targets")
    if text.startswith("aws:"):
        return AwsTarget.parse(text, region=region, endpoint=endpoint)
    if region is not None or endpoint is not None:
        raise ValueError(f"target {text!r}: region and endpoint are for functions on AWS")
    return LocalTarget.parse(text, base, env)


def _is_dotted_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))
