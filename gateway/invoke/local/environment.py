"""The environment variables of a worker.

After AWS's "Using Lambda environment variables: defined runtime environment variables".
"""

from __future__ import annotations

import datetime
import os
import sys
import uuid
from typing import TYPE_CHECKING

from gateway.invoke.local.spec import DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.invoke.local.spec import FunctionSpec

# The gateway's own settings and secrets, and what a surrounding Lambda or emulator left behind
# (AWS_LAMBDA_MAX_CONCURRENCY, for one, would make awslambdaric fork).
_NOT_INHERITED = ("DIALBACK_", "AWS_LAMBDA_", "LAMBDA_", "_LAMBDA_", "_HANDLER", "_X_AMZN_")


def function_environment(
    spec: FunctionSpec, inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return what every process of a function sees, whether it serves or is only checked.

    Args:
        spec: the function; its `env` is on top of everything but the reserved variables.
        inherited: the environment to start from; this process's own by default.
    """
    parent = os.environ if inherited is None else inherited
    variables = {
        name: value for name, value in parent.items() if not name.startswith(_NOT_INHERITED)
    }
    region = variables.get("AWS_REGION") or variables.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return {
        **variables,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{version}",
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
        "TZ": ":UTC",
        "PYTHONUNBUFFERED": "1",
        **spec.env,
        "LAMBDA_TASK_ROOT": str(spec.directory),
        "_HANDLER": spec.runtime_handler,
    }


def worker_environment(common: Mapping[str, str], runtime_api: str) -> dict[str, str]:
    """Return the environment of one worker.

    Args:
        common: what `function_environment` returned.
        runtime_api: ``host:port`` of the worker's Runtime API.
    """
    day = datetime.datetime.now(datetime.UTC).strftime("%Y/%m/%d")
    return {
        **common,
        "AWS_LAMBDA_LOG_STREAM_NAME": f"{day}/[$LATEST]{uuid.uuid4().hex}",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
    }
