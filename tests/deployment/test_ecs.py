"""The stack for ECS: valid, and in agreement with the gateway that it runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from gateway.config import load
from gateway.routes import build_routes
from gateway.secret import Variable
from gateway.tokens import KEY_BYTES_MIN
from tests.container.dockerfile import inspect
from tests.deployment import stacks
from tests.deployment.linting import lint
from tests.packing import ROOT

if TYPE_CHECKING:
    from gateway.config import Settings

FILE = ROOT / "deploy/cloudformation/gateway.yaml"
KNOWN = {
    "FunctionName": "shop",
    "CallbackName": "callback.example.com",
    "VpcCidr": "10.0.0.0/16",
    "AWS::Region": "eu-west-1",
    "AWS::Partition": "aws",
    "AWS::AccountId": "ACCOUNT",
}
STOP_MAX = 120
"""Seconds: the longest that Fargate waits after SIGTERM (ECS developer guide, stopTimeout)."""


@pytest.fixture(params=["in-the-vpc", "outside"])
def private(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "in-the-vpc")


@pytest.fixture
def resources(private: bool) -> dict[str, Any]:
    found = stacks.read(FILE)["Resources"]
    conditions = {"Private": private, "Public": not private}
    return {
        name: stacks.resolve(one["Properties"], KNOWN, conditions)
        for name, one in found.items()
        if conditions.get(one.get("Condition", ""), True)
    }


@pytest.fixture
def container(resources: dict[str, Any]) -> dict[str, Any]:
    (only,) = resources["Task"]["ContainerDefinitions"]
    assert isinstance(only, dict)
    return only


@pytest.fixture
def settings(container: dict[str, Any]) -> Settings:
    return load(None, {one["Name"]: one["Value"] for one in container["Environment"]})


def test_its_linter_has_nothing_to_say() -> None:
    lint(FILE)


def test_the_gateway_takes_its_settings(settings: Settings, private: bool) -> None:
    assert len(build_routes(settings.routes)) == 1
    url = "ws://{host}:8081" if private else "wss://callback.example.com"
    assert settings.gateway.callback_url == url


def test_the_token_key_is_made_and_kept_by_secrets_manager(
    settings: Settings, container: dict[str, Any], resources: dict[str, Any]
) -> None:
    (secret,) = container["Secrets"]
    assert secret["ValueFrom"] == "TokenKey"
    assert settings.gateway.token_keys == (Variable(secret["Name"]),)
    assert secret["Name"] not in {one["Name"] for one in container["Environment"]}
    key = resources["TokenKey"]
    assert "SecretString" not in key
    assert key["GenerateSecretString"]["PasswordLength"] >= KEY_BYTES_MIN
    (policy,) = resources["ExecutionRole"]["Policies"]
    (statement,) = policy["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == (
        "secretsmanager:GetSecretValue",
        "TokenKey",
    )


def test_ports_are_those_that_the_gateway_listens_on(
    settings: Settings, container: dict[str, Any], resources: dict[str, Any]
) -> None:
    gateway = settings.gateway
    ports = [gateway.edge.port, gateway.callback.port, gateway.admin.port]
    assert [one["ContainerPort"] for one in container["PortMappings"]] == ports
    rules = resources["GatewaySecurityGroup"]["SecurityGroupIngress"]
    assert {one["FromPort"] for one in rules} == set(ports) == {one["ToPort"] for one in rules}
    assert resources["EdgeTargets"]["HealthCheckPort"] == str(gateway.admin.port)
    assert resources["EdgeTargets"]["Port"] == gateway.edge.port
    targets = [one["ContainerPort"] for one in resources["Service"]["LoadBalancers"]]
    if "CallbackTargets" in resources:
        assert resources["CallbackTargets"]["Port"] == gateway.callback.port
        assert targets == [gateway.edge.port, gateway.callback.port]
    else:
        assert targets == [gateway.edge.port]


def test_nobody_but_load_balancer_and_functions_comes_in(
    resources: dict[str, Any], private: bool
) -> None:
    rules = {
        one["FromPort"]: one["SourceSecurityGroupId"]
        for one in resources["GatewaySecurityGroup"]["SecurityGroupIngress"]
    }
    edge = "EdgeSecurityGroup"
    assert rules == {8080: edge, 9090: edge, 8081: "FunctionSecurityGroup" if private else edge}


def test_it_is_stopped_after_it_has_drained(
    settings: Settings, container: dict[str, Any], resources: dict[str, Any]
) -> None:
    assert settings.gateway.drain_deadline + 5 < container["StopTimeout"] <= STOP_MAX
    (route,) = settings.routes
    for name in ("EdgeTargets", "CallbackTargets"):
        if name in resources:
            attributes = {
                one["Key"]: one["Value"] for one in resources[name]["TargetGroupAttributes"]
            }
            assert int(attributes["deregistration_delay.timeout_seconds"]) >= route.function_timeout


def test_a_public_gateway_is_alone(resources: dict[str, Any], private: bool) -> None:
    service = resources["Service"]
    assert service["DesiredCount"] == (2 if private else 1)
    assert service["DeploymentConfiguration"]["MaximumPercent"] == (200 if private else 100)
    assert ("Scaling" in resources) is private


def test_the_role_has_the_policy_of_deploy_iam_and_no_more(resources: dict[str, Any]) -> None:
    policy = json.loads((ROOT / "deploy/iam/invoke.json").read_text())
    (given,) = resources["TaskRole"]["Policies"]
    text = (
        json.dumps(given["PolicyDocument"]).replace("shop", "NAME").replace("eu-west-1", "REGION")
    )
    assert json.loads(text) == policy
    assert "ManagedPolicyArns" not in resources["TaskRole"]


def test_it_runs_what_the_image_has(container: dict[str, Any]) -> None:
    image = inspect((ROOT / "deploy/container/Dockerfile").read_text())
    assert int(container["User"]) == image.user
    assert container["ReadonlyRootFilesystem"]
    assert container["HealthCheck"]["Command"][:3] == ["CMD", *image.health[:2]]
    assert container["Command"] == image.arguments[:1]  # and its settings come in a variable
