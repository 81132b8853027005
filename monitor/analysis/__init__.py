"""What the past says: silences, outages and uptime, from the heartbeats and the windows."""
