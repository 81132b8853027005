"""Messages that are owed: what they say, when they are tried, and that none is lost."""
