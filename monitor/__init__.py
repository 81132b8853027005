"""heartbeat-monitor: sensors report heartbeats, and a silent sensor causes an alert."""
