"""gateway/callback."""
