"""Sends almost valid requests to every rule of the URL map and to the ingest paths."""
