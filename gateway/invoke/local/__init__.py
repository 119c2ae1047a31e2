"""gateway/invoke/local."""
