"""The functions behind the benchmark."""
