"""The templates in deploy/: what their linters say, and what the gateway makes of the settings in them."""
