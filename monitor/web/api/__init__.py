"""The JSON API under /api/v1. Each module of views has its own blueprint."""
