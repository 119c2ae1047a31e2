"""Ways to call a function, the event it is given, and how its result is read."""
