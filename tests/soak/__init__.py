"""Soak test: a fleet, two of each process on PostgreSQL and InfluxDB, and random kills."""
