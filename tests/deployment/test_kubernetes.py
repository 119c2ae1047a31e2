"""The manifests: valid, restricted, and in agreement with the gateway's settings and with each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from gateway.config import load
from gateway.route_settings import ROUTE_TIMEOUT_MARGIN
from gateway.routes import build_routes
from tests.packing import ROOT

if TYPE_CHECKING:
    from gateway.config import Settings

Manifest = dict[str, Any]

FOLDER = ROOT / "deploy/kubernetes"
OLDEST = "1.30"
"""The first version that can sleep before it stops a container without a shell."""


def manifests() -> list[Manifest]:
    files = sorted(FOLDER.glob("*.yaml"))
    return [one for file in files for one in yaml.safe_load_all(file.read_text())]


def the(kind: str, name: str = "dialback") -> Manifest:
    (found,) = (
        one for one in manifests() if (one["kind"], one["metadata"]["name"]) == (kind, name)
    )
    return found


@pytest.fixture
def pod() -> Manifest:
    spec: Manifest = the("Deployment")["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: Manifest) -> Manifest:
    (only,) = pod["containers"]
    assert isinstance(only, dict)
    return only


@pytest.fixture
def settings(tmp_path: Path, container: Manifest) -> Settings:
    """The config map's file and the container's variables, as the gateway reads them in a pod."""
    (name, text), *others = the("ConfigMap")["data"].items()
    assert not others
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == "secrets")
    (tmp_path / "token-key").write_text("k" * 44)
    (tmp_path / name).write_text(text.replace(mount["mountPath"], str(tmp_path)))
    variables = {one["name"]: one["value"] for one in container["env"] if "value" in one}
    environ = {
        name: value.replace("$(POD_IP)", "10.1.2.3")
        for name, value in variables.items()
        if name.startswith("DIALBACK_")
    }
    return load(tmp_path / name, environ)


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_every_manifest_is_valid(version: str) -> None:
    found = manifests()
    assert len(found) == 8
    for one in found:
        kubernetes_validate.validate(one, version, strict=True)


def test_the_gateway_takes_its_settings(settings: Settings) -> None:
    assert len(build_routes(settings.routes)) == 1
    assert settings.gateway.callback_url == "ws://10.1.2.3:8081"


def test_the_token_key_comes_from_a_secret(settings: Settings, pod: Manifest) -> None:
    (key,) = settings.gateway.token_keys
    assert isinstance(key, Path)
    assert key.name == "token-key"
    (volume,) = (one for one in pod["volumes"] if one["name"] == "secrets")
    assert volume["secret"]["secretName"] == "dialback"
    assert volume["secret"]["defaultMode"] == 0o440  # which the pod's group may read
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]
    command = "kubectl create secret generic dialback --from-file=token-key"
    assert command in (ROOT / "docs/deployment.md").read_text()
    assert not [one for one in manifests() if one["kind"] == "Secret"]


def test_ports_are_those_that_the_gateway_listens_on(
    settings: Settings, container: Manifest
) -> None:
    gateway = settings.gateway
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    listeners = {"edge": gateway.edge, "callback": gateway.callback, "admin": gateway.admin}
    assert ports == {name: address.port for name, address in listeners.items()}
    assert {address.host for address in listeners.values()} == {"0.0.0.0"}
    for name in ports:
        (service,) = the("Service", f"dialback-{name}")["spec"]["ports"]
        assert service["targetPort"] == name


def test_nothing_is_killed_before_it_has_drained(
    settings: Settings, pod: Manifest, container: Manifest
) -> None:
    grace, pause = pod["terminationGracePeriodSeconds"], container["lifecycle"]["preStop"]["sleep"]
    drain = settings.gateway.drain_deadline
    assert grace > drain + pause["seconds"] + 5  # what is left is told to stop within 5 s
    (route,) = settings.routes
    assert drain >= route.timeout - ROUTE_TIMEOUT_MARGIN  # as long as a stream can be
    (policy,) = the("HorizontalPodAutoscaler")["spec"]["behavior"]["scaleDown"]["policies"]
    assert policy["periodSeconds"] >= drain


def test_probes_ask_what_the_admin_listener_answers(container: Manifest) -> None:
    asked = {
        kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")
    }
    assert {kind: get["path"] for kind, get in asked.items()} == {
        "startup": "/readyz",
        "readiness": "/readyz",
        "liveness": "/healthz",  # a gateway that drains is not ready, and must not be restarted
    }
    assert {get["port"] for get in asked.values()} == {"admin"}


def test_the_pod_is_restricted(pod: Manifest, container: Manifest) -> None:
    """Kubernetes' Pod Security Standards, "restricted", and a read-only file system beside."""
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [set(one) for one in pod["volumes"]] == [{"name", "configMap"}, {"name", "secret"}]


def test_everything_selects_the_same_pods() -> None:
    labels = the("Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        one["spec"]["selector"] for one in manifests() if "selector" in one.get("spec", {})
    ]
    assert len(selectors) == 5
    for selector in selectors:
        assert selector.get("matchLabels", selector) == labels
