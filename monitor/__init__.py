"""heartbeat-monitor: sensors report heartbeats; silence becomes one alert that arrives."""
