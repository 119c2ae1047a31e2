"""gateway/journal."""
