"""gateway/invoke."""
