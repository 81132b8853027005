"""The SQL database of everything but heartbeats: sensors, incidents, messages, users."""
