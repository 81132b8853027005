"""Property tests of alerting, from heartbeat to recipient, against an independent model."""
