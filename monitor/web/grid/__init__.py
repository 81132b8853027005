"""The status grid: the fleet in memory, its cells, and what clients are sent."""
