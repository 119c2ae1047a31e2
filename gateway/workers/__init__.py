"""Several gateway processes behind one edge port: one that keeps the others, and those that serve."""
