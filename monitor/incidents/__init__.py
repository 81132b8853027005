"""From a silence to the rows that record it and cause messages."""
