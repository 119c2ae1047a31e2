"""The template of a function: what AWS's own transform makes of it."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from tests.deployment.linting import lint
from tests.packing import ROOT

FOLDER = ROOT / "deploy/sam"
FILE = FOLDER / "template.yaml"


class NoManagedPolicies:
    def load(self) -> dict[str, str]:
        return {}


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    template = yaml_parse(FILE.read_text())
    for resource in template["Resources"].values():  # as `sam package` does
        for key in ("ContentUri", "CodeUri"):
            if key in resource["Properties"]:
                assert resource["Properties"][key].startswith("../")
                resource["Properties"][key] = {"Bucket": "bucket", "Key": key}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_DEFAULT_REGION", "eu-west-1")  # names of AWS's own resources have it
        found: dict[str, Any] = transform(template, {}, NoManagedPolicies())["Resources"]
    return found


def test_its_linter_has_nothing_to_say() -> None:
    lint(FILE)


def test_the_transform_makes_function_alias_role_and_layer(resources: dict[str, Any]) -> None:
    kinds = sorted(one["Type"] for one in resources.values())
    assert kinds == [
        "AWS::IAM::Role",
        "AWS::Lambda::Alias",
        "AWS::Lambda::Function",
        "AWS::Lambda::LayerVersion",
        "AWS::Lambda::Permission",
        "AWS::Lambda::Version",
    ]
    function = resources["Function"]["Properties"]
    assert len(function["Layers"]) == 1
    assert resources["FunctionAliaslive"]["Properties"]["Name"] == "live"


def test_handler_layer_and_runtime_belong_together(resources: dict[str, Any]) -> None:
    template = yaml_parse(FILE.read_text())["Resources"]
    function = resources["Function"]["Properties"]
    module, _, name = function["Handler"].partition(".")
    code = (FOLDER / template["Function"]["Properties"]["CodeUri"]).resolve()
    assert (code / f"{module}.py").is_file()
    assert callable(getattr(_imported(module, str(code)), name))
    runtime, (arch,) = function["Runtime"], function["Architectures"]
    layer = (FOLDER / template["Layer"]["Properties"]["ContentUri"]).resolve()
    assert layer == ROOT / f"dist/dialback-layer-{runtime}-{arch}.zip"  # as `make layer` calls it
    assert resources["Layer" + _suffix(resources)]["Properties"]["CompatibleRuntimes"] == [runtime]


def test_others_get_the_right_to_invoke_only_when_they_are_named(resources: dict[str, Any]) -> None:
    permission = resources["GatewayMayInvoke"]
    assert permission["Condition"] == "OtherAccount"
    assert permission["Properties"]["Action"] == "lambda:InvokeFunction"


def _suffix(resources: dict[str, Any]) -> str:
    """A layer's name has a hash of its content behind it."""
    (name,) = (
        name for name, one in resources.items() if one["Type"] == "AWS::Lambda::LayerVersion"
    )
    return name.removeprefix("Layer")


def _imported(module: str, folder: str) -> Any:
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(folder)
        sys.modules.pop(module, None)
