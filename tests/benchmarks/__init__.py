"""How fast it is, beside plain aiohttp in the same run: `make bench`."""
