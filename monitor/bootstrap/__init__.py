"""Builds each process of the service from the settings: one module per process, and factories."""
