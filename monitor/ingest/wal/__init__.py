"""The write-ahead log: it holds accepted heartbeats until they are stored."""
