"""Intake of heartbeats: the ingest app, the write-ahead log and the shipper."""
