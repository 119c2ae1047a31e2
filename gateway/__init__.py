"""The gateway: HTTP for browsers, WebSockets for functions, and what happens in between."""
