"""The tables of the report, and what a reader must know of each."""

from __future__ import annotations

FIRST_BYTES = "First bytes and requests"
CHUNKS = "Chunks on their way"
BULK = "Bulk"
ASGI = "An ASGI application, beside uvicorn"
CPU = "CPU time"
FRAMING = "Framing"
STARTING = "Starting"
RESUME = "Resume after a cut"
GROWTH = "One response that grows"
QUIET = "Quiet streams"

NOTES = {
    FIRST_BYTES: "Tiny responses of one chunk, over kept-alive connections; every function is warm.",
    CHUNKS: """\
Each stream writes 100 bytes every 10 ms; a chunk carries the time at which it was made, and the client
says how old it is (one clock). The first ten of each stream are not counted.""",
    BULK: "One stream unless it says more, as fast as it goes; an upload is read whole by the function.",
    ASGI: """\
One application without a framework, behind uvicorn (uvloop, httptools) and, by `lambda_client.asgi`, in
functions behind the gateway: the work of an async handler, and what a server of its own does with it.""",
    CPU: """\
By the kernel's count for each process, per request or chunk. The server is the gateway, nginx, or aiohttp
itself; nginx has direct behind it, the gateway has functions, and so has the floor. "100 B frame": the
client library was told to put every 100 bytes into a frame of their own.""",
    QUIET: """\
A stream sends 6 bytes, is quiet, and sends 6 more when all are released. Thousands of workers would
measure this machine's memory, so a *peer* stands for the functions: one process in which each invocation
is a session of the client library with a WebSocket of its own; the gateway calls it by the Invoke API,
and signs each call, which is part of the CPU to open. Memory is the resident set of the server beside what
it was before the first level. Each level is measured once; the largest is what the descriptors that a
process may have here allow: the gateway wants three for each stream.""",
    GROWTH: "In chunks of 64 KiB; one response of each size, measured once.",
    RESUME: """\
As `make figures` measures it (`cuts`), smaller: downloads at full speed whose callback is cut at random
bytes, through a proxy that shares the two processors; of all cuts of one run. Neither direct nor nginx
can go on with a response whose upstream is cut.""",
    STARTING: """\
Cold: the request needs a function that is not running yet (interpreter, imports and, for dialback, the
first dial; the dial goes on beside the handler). Imports: how much longer a Python process takes that
imports this and nothing else, the median of several.""",
    FRAMING: """\
One chunk of a stream as a message: dialback's frame (msgpack), and a JSON object with the same fields and
base64. On the wire includes the head of the WebSocket frame; CPU time does not include sending.""",
}
