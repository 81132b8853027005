"""The JSON API under /api/v1: each module makes a blueprint of its own."""
