"""Incidents: how they open, close and share messages, and what holds messages back."""
