"""A process is killed at every step of a sweep and of deliveries."""
