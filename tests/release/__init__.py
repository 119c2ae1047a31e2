"""What is released, and what of it one gets by installing it."""
