"""CloudFormation templates, with parameters filled in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cfnlint.decode import decode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read(file: Path) -> dict[str, Any]:
    """Return a template as CloudFormation reads it.

    Raises:
        AssertionError: it is no YAML.
    """
    template, problems = decode(str(file))
    assert not problems, problems
    assert isinstance(template, dict)
    return template


def resolve(value: Any, known: Mapping[str, str], conditions: Mapping[str, bool]) -> Any:
    """Fill in ``Ref``, ``Fn::Sub`` and ``Fn::If``, as far as they are parameters."""
    if isinstance(value, list):
        found = [resolve(one, known, conditions) for one in value]
        return [one for one in found if one is not None]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Ref"}:
        name = value["Ref"]
        return None if name == "AWS::NoValue" else known.get(name, name)
    if set(value) == {"Fn::Sub"}:
        return re.sub(
            r"\$\{([\w:]+)\}", lambda found: known.get(found[1], found[1]), value["Fn::Sub"]
        )
    if set(value) == {"Fn::If"}:
        name, yes, no = value["Fn::If"]
        return resolve(yes if conditions[name] else no, known, conditions)
    return {key: resolve(one, known, conditions) for key, one in value.items()}
