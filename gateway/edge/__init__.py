"""gateway/edge."""
