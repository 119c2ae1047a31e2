"""The floor: a pipe of dialback's structure that keeps none of its promises, as quick as it is simply written.

The same processes, threads and messages: one gateway on aiohttp and uvloop with a Runtime API in the same process,
real awslambdaric workers that are frozen between invocations, one reused WebSocket on an I/O thread in each, msgpack
in its frames, and one state machine for all exchanges. Nothing resumes, nothing is checked, counted, logged or timed
out; a function that fails leaves its client waiting. What dialback takes above that is the price of its promises.

python -m tests.benchmarks.floor PORT WORKERS     `function.handler` behind every path, in so many workers
"""
