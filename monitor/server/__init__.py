"""The HTTP server: an event loop in each gunicorn worker. Knows nothing of heartbeats."""
