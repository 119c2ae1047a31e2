"""Numbers of AWS Lambda that the emulation keeps, and its own."""

from __future__ import annotations

from typing import Final

# Lambda quotas: "Invocation payload (request and response): 6 MB each for synchronous".
REQUEST_MAX: Final = 6 * 1024 * 1024
# The Runtime API takes 100 bytes more, as its refusal says: "(6291556 bytes)".
RESPONSE_MAX: Final = 6 * 1024 * 1024 + 100
# Invoke API: an asynchronous invocation carries 1 MB at most.
ASYNC_REQUEST_MAX: Final = 1024 * 1024
# Invoke API: "up to 3,583 bytes of base64-encoded data".
CLIENT_CONTEXT_MAX: Final = 3583
# "The Init phase is limited to 10 seconds"; it is then tried once more within the function's
# own timeout.
INIT_TIMEOUT: Final = 10.0
# X-Amz-Log-Result: "the last 4 KB of the execution log".
LOG_TAIL: Final = 4096

# awslambdaric sends up to 1 MiB of X-Ray cause in a header of its error post.
HEAD_MAX: Final = 1024 * 1024 + 64 * 1024
# A longer log line is handed on in pieces.
LOG_LINE_MAX: Final = 16 * 1024
# A worker that has answered is normally back for more within 200 us: a call that arrives in between
# waits for it instead of paying for a cold start, but not for longer than this.
RETURN_GRACE: Final = 0.25
# At the concurrency limit a call waits this long for a worker before it is refused: a stream's
# client may send its next request before the function has posted the receipt of the last one.
THROTTLE_GRACE: Final = 0.25
# How long what an ended process wrote last may still be read from its sockets.
EXIT_GRACE: Final = 0.1
