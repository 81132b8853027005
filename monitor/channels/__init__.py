"""Channels: ways to send a message to recipients."""
