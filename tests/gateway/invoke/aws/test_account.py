"""Credentials by botocore's own chain: the environment, a profile, and a container that renews them."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from botocore.session import Session

from gateway.errors import ConfigError, FunctionUnreachable
from gateway.invoke.aws.account import REFRESH_AHEAD, REFRESH_NOW, Account
from tests.gateway.invoke.aws.web_server import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

URL = "https://lambda.example/2015-03-31/functions/fn/invocations"


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody's own settings, and no metadata service."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


async def key_used(account: Account) -> str:
    signed = await account.sign(
        URL, {"Content-Type": "application/json"}, b"{}", region="eu-west-1"
    )
    return signed["Authorization"].partition("Credential=")[2].partition("/")[0]


async def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "FROMENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert await key_used(Account()) == "FROMENV"


async def test_a_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[shop]\naws_access_key_id = FROMFILE\naws_secret_access_key = secret\n"
    )
    (tmp_path / "config").write_text("[profile shop]\nregion = eu-central-1\n")
    monkeypatch.setenv("AWS_PROFILE", "shop")
    account = Account()
    assert await key_used(account) == "FROMFILE"
    assert account.endpoint(None) == (
        "eu-central-1",
        "https://lambda.eu-central-1.amazonaws.com",
    )


async def test_nothing_at_all() -> None:
    account = Account()
    for _ in range(2):  # asked again each time: a role may be attached meanwhile
        with pytest.raises(FunctionUnreachable, match="no AWS credentials: set AWS_PROFILE"):
            await key_used(account)


def test_a_region_is_wanted() -> None:
    with pytest.raises(ConfigError, match="no AWS region: name the function by its ARN"):
        Account().endpoint(None)
    with pytest.raises(ConfigError, match="AWS region 'no where'"):
        Account(Session()).endpoint("no where")


def test_other_partitions_and_other_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account()
    assert account.endpoint("cn-north-1")[1] == "https://lambda.cn-north-1.amazonaws.com.cn"
    assert account.endpoint("us-gov-west-1")[1] == "https://lambda.us-gov-west-1.amazonaws.com"
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:4566")
    assert Account().endpoint("eu-west-1")[1] == "http://127.0.0.1:4566"


class Container:
    """The credentials endpoint of ECS and EKS: each answer a new key, valid for `lives` seconds."""

    def __init__(self) -> None:
        self.answers = 0
        self.lives = 3600.0
        self.held: asyncio.Event | None = None
        self.status = 200

    async def answer(self, _: web.Request) -> web.Response:
        self.answers += 1
        number = self.answers
        if self.held is not None:
            await self.held.wait()
        expires = datetime.now(UTC) + timedelta(seconds=self.lives)
        body = {
            "AccessKeyId": f"KEY{number}",
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return web.json_response(body, status=self.status)


@asynccontextmanager
async def container(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Container]:
    served = Container()
    async with serving(app(web.get("/role", served.answer))) as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/role")
        yield served


async def test_a_container_is_asked_once_for_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    async with container(monkeypatch) as served:
        account = Account()
        keys = await asyncio.gather(*(key_used(account) for _ in range(20)))
        assert set(keys) == {"KEY1"}
        assert await key_used(account) == "KEY1"
        assert served.answers == 1


async def test_keys_that_expire_soon_are_renewed_beside_the_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with container(monkeypatch) as served:
        account = Account()
        served.lives = (REFRESH_AHEAD + REFRESH_NOW) / 2
        first, asked = await key_used(account), served.answers
        served.lives, served.held = 3600.0, asyncio.Event()
        assert await key_used(account) == first  # and does not wait for what is under way
        while served.answers == asked:
            await asyncio.sleep(0.001)
        served.held.set()
        while await key_used(account) == first:
            await asyncio.sleep(0.001)
        await account.close()


async def test_keys_that_are_as_good_as_expired_are_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with container(monkeypatch) as served:
        account = Account()
        served.lives = REFRESH_NOW / 2
        first = await key_used(account)
        served.lives = 3600.0
        assert await key_used(account) != first


async def test_a_container_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    async with container(monkeypatch) as served:
        served.status = 403
        with pytest.raises(FunctionUnreachable, match=r"no AWS credentials: .*403"):
            await key_used(Account())


async def test_closing_while_keys_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    async with container(monkeypatch) as served:
        served.held = asyncio.Event()
        account = Account()
        call = asyncio.create_task(key_used(account))
        while not served.answers:
            await asyncio.sleep(0.001)
        await account.close()
        with pytest.raises(asyncio.CancelledError):
            await call
        served.held.set()


# ---------------------------------------------------------------- roles that are not given by a container

STS_ANSWER = """\
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <Credentials>
      <AccessKeyId>FROMSTS</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
      <SessionToken>token</SessionToken><Expiration>{expires}</Expiration>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


def in_an_hour() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


def app(*routes: web.RouteDef) -> web.Application:
    found = web.Application()
    found.add_routes(routes)
    return found


async def test_a_web_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As pods on EKS have it; a container may be told AWS_REGION alone."""

    async def assume(request: web.Request) -> web.Response:
        asked.update(await request.post())
        return web.Response(text=STS_ANSWER.format(expires=in_an_hour()), content_type="text/xml")

    asked: dict[str, object] = {}
    (tmp_path / "token").write_text("the-identity")
    async with serving(app(web.post("/", assume))) as url:
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/gateway")
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        session = Session()
        assert await key_used(Account(session)) == "FROMSTS"
    monkeypatch.delenv("AWS_ENDPOINT_URL_STS")
    assert session.create_client("sts").meta.endpoint_url == "https://sts.eu-west-1.amazonaws.com"
    assert (asked["Action"], asked["WebIdentityToken"]) == (
        "AssumeRoleWithWebIdentity",
        "the-identity",
    )


async def test_the_role_of_an_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metadata service, version 2: a token first."""

    async def token(_: web.Request) -> web.Response:
        return web.Response(text="imds-token")

    async def roles(request: web.Request) -> web.Response:
        assert request.headers["x-aws-ec2-metadata-token"] == "imds-token"
        if request.path.endswith("/gateway"):
            body = {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": in_an_hour()}
            keys = {"AccessKeyId": "FROMROLE", "SecretAccessKey": "secret", "Token": "t"}
            return web.json_response({**body, **keys, "Expiration": in_an_hour()})
        return web.Response(text="gateway")

    meta = "/latest/meta-data/iam/security-credentials/{role:.*}"
    async with serving(app(web.put("/latest/api/token", token), web.get(meta, roles))) as url:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        assert await key_used(Account()) == "FROMROLE"
