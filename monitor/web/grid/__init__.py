"""The status grid: the fleet in memory, its cells, and the data that clients receive."""
