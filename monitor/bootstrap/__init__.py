"""Builds each process of the service from its settings: one module a process, and factories."""
