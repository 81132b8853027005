"""Where heartbeats are kept: one contract, an embedded SQLite file or InfluxDB 2 behind it."""
