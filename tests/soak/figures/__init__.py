"""The figures that this project promises, each one a command: `python -m tests.soak.figures NAME`."""
