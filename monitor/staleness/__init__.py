"""Finds silent sensors. Only observed time counts."""
