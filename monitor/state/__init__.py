"""What the service decides and remembers, as opposed to what it measures: SQLAlchemy tables."""
