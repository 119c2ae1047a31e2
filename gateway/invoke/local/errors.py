"""AWS's error objects: what an invoke returns when the sandbox, not the handler, fails.

Wording as returned by the Invoke API (and by the Lambda Runtime Interface Emulator).
"""

from __future__ import annotations

import json
import signal

from gateway.invoke.local.limits import RESPONSE_MAX


def error_object(error_type: str, message: str) -> bytes:
    """Return the JSON payload of a failed invocation."""
    return json.dumps({"errorType": error_type, "errorMessage": message}).encode()


def timed_out(request_id: str, seconds: float) -> bytes:
    """Return the payload for a function that ran out of its time (`seconds`)."""
    return error_object(
        "Sandbox.Timedout", f"RequestId: {request_id} Error: {timeout_text(seconds)}"
    )


def timeout_text(seconds: float) -> str:
    """Return the phrase that both the log and the error use."""
    return f"Task timed out after {seconds:.2f} seconds"


def exited(request_id: str, exit_code: int) -> bytes:
    """Return the payload for a process that ended in the middle of its work.

    Args:
        request_id: the invocation.
        exit_code: 0 to 255, or minus the number of the signal that ended it.
    """
    return error_object("Runtime.ExitError", f"RequestId: {request_id} {exit_text(exit_code)}")


def exit_text(exit_code: int) -> str:
    """Return how Lambda words an exit."""
    if exit_code == 0:
        return "Error: Runtime exited without providing a reason"
    if exit_code > 0:
        return f"Error: Runtime exited with error: exit status {exit_code}"
    name = (signal.strsignal(-exit_code) or str(-exit_code)).lower()
    return f"Error: Runtime exited with error: signal: {name}"


def response_too_large() -> bytes:
    """Return the payload for a return value over Lambda's response limit."""
    return error_object(
        "Function.ResponseSizeTooLarge",
        f"Response payload size exceeded maximum allowed payload size ({RESPONSE_MAX} bytes).",
    )
