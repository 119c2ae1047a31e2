"""Many real functions, random faults every second, and every byte compared: `make soak`."""
