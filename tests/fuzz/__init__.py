"""Requests that are nearly right, to every rule of the URL map and to the ingest paths."""
