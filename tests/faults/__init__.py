"""Every step of sweep and delivery as the last one of a process."""
