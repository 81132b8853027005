"""The pages of one sensor, and of all of them as a table."""
