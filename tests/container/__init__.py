"""The container image, without an engine: what its Dockerfile says is done here, step by step."""
