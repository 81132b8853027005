"""Our own outages with a living fleet: no false alert, and who died meanwhile is told."""
