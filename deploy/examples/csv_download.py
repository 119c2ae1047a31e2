"""A CSV download of any length, written row by row: no row waits for the last one.

    dialback dev deploy/examples/csv_download.py:handler
    curl -N -OJ "http://127.0.0.1:8080/?rows=100000"

The first item that a generator yields may be a dict: the head of the response.
"""

import csv
import os
import time
from datetime import date, timedelta

from lambda_client import streaming

INTERVAL = float(os.environ.get("INTERVAL", "1"))  # seconds between two pages of the database
PAGE = 10_000  # rows


@streaming
def handler(event, context):
    rows = int(event.get("queryStringParameters", {}).get("rows", 50_000))
    yield {
        "statusCode": 200,
        "headers": {
            "content-type": "text/csv; charset=utf-8",
            "content-disposition": 'attachment; filename="orders.csv"',
        },
    }
    writer = csv.writer(Line())
    yield writer.writerow(["order", "day", "customer", "total"])
    for order in orders(rows):
        yield writer.writerow(order)


def orders(rows):
    """Stands for a query that is read page by page."""
    for number in range(1, rows + 1):
        day = date(2026, 1, 1) + timedelta(days=number % 365)
        total = f"{number % 500}.{number % 100:02}"
        yield number, day.isoformat(), f"customer {number % 977}", total
        if number % PAGE == 0 and number < rows:
            time.sleep(INTERVAL)


class Line:
    """A file for `csv.writer` that hands each line straight back."""

    def write(self, line):
        return line
