"""Public status pages and badges: for viewers without a login."""
