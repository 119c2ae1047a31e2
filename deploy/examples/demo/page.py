"""Serves the demo page. An ordinary Lambda function, which has never heard of dialback.

dialback dev deploy/examples/demo/page.py:handler
"""

import os
from pathlib import Path

HERE = Path(__file__).parent
ADMIN_URL = os.environ.get("ADMIN_URL", "http://127.0.0.1:9090")
FILES = {
    "/": ("index.html", "text/html"),
    "/demo.css": ("demo.css", "text/css"),
    "/demo.js": ("demo.js", "text/javascript"),
}
POLICY = f"default-src 'self'; connect-src 'self' {ADMIN_URL}; img-src data:; base-uri 'none'"


def handler(event, context):
    if event["rawPath"] not in FILES:
        return {"statusCode": 404, "headers": {"content-type": "text/plain"}, "body": "not here\n"}
    name, kind = FILES[event["rawPath"]]
    return {
        "statusCode": 200,
        "headers": {
            "content-type": f"{kind}; charset=utf-8",
            "content-security-policy": POLICY,
            "cache-control": "no-store",
        },
        "body": (HERE / name).read_text().replace("{{admin_url}}", ADMIN_URL),
    }
