"""History of sensors: gaps, outages and uptime, computed from heartbeats and windows."""
