"""The documents: what they take from the code is fresh, and what they tell a reader to do works."""
