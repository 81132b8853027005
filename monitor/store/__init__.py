"""The stores for heartbeats: one interface, implemented with InfluxDB 2 and with SQLite."""
