"""What people change, one function each, for pages, API and commands alike.

Each function checks the rules, makes the change and its audit row in one transaction, and raises
Invalid, NotFound, Conflict or StateUnavailable. `actor` is the name for the audit trail.
"""
