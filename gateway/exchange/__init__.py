"""gateway/exchange."""
