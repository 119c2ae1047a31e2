"""An upload of any size, hashed while it arrives. The memory of the function stays small.

    dialback dev deploy/examples/upload_hash.py:handler
    head -c 100000000 /dev/urandom > upload.bin
    curl -N -T upload.bin http://127.0.0.1:8080/

Lambda's own limit for a request is 6 MB. `request_body` reads what fits from the event, and
anything larger from the callback.
"""

import hashlib
import json
import resource

from lambda_client import request_body, streaming


@streaming
def handler(event, context):
    digest, size = hashlib.sha256(), 0
    for chunk in request_body(event):
        digest.update(chunk)
        size += len(chunk)
    answer = {"sha256": digest.hexdigest(), "bytes": size, "peak_memory_mib": peak_memory_mib()}
    return {
        "statusCode": 200,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(answer) + "\n",
    }


def peak_memory_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # KiB on Linux
