"""A simulated or recorded fleet for tests. It sends heartbeats to a running server by HTTP."""
