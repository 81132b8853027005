"""From the socket to the store: the door, the spool and the shipper."""
