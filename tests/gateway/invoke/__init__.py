"""tests/gateway/invoke."""
