"""The whole of a function without code of its own: on AWS this is its handler setting."""

from __future__ import annotations

from lambda_client.run import handler

__all__ = ["handler"]
