"""gateway/tls."""
