"""Commands of AWS's command line, held against the models of its APIs: nothing is called."""

from __future__ import annotations

import re
import shlex

from botocore import xform_name
from botocore.session import Session

GLOBAL = {"region", "profile", "query", "output", "endpoint-url", "cli-binary-format"}
"""Options of every command."""

SHORTCUTS = {"zip-file": "content"}
"""Options that the command line itself adds, and the member that they fill."""

WAITERS = "wait"


def check(command: str) -> None:
    """Check that service, operation and options exist, and that nothing required is missing.

    Raises:
        AssertionError: the command cannot work.
    """
    _, service, operation, *rest = shlex.split(re.sub(r"\$\([^)]*\)", "OUTPUT", command))
    client = Session().get_service_model(service)
    if operation == WAITERS:
        return
    names = {xform_name(name, "-"): name for name in client.operation_names}
    assert operation in names, f"aws {service} has no {operation}"
    shape = client.operation_model(names[operation]).input_shape
    members = {xform_name(name, "-"): name for name in (shape.members if shape else {})}
    given = {word[2:] for word in rest if word.startswith("--")}
    given = {name if name in members else SHORTCUTS.get(name, name) for name in given}
    unknown = {name for name in given - GLOBAL if name.removeprefix("no-") not in members}
    assert not unknown, f"aws {service} {operation} has no {sorted(unknown)}"
    required = {xform_name(name, "-") for name in (shape.required_members if shape else ())}
    assert required <= given, f"aws {service} {operation} wants {sorted(required - given)}"
