"""The whole way of an alert, from heartbeat to recipient, against an independent model."""
