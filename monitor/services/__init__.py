"""What users change: one function for each change, used by pages, API and commands.

Each function checks the rules, makes the change and its audit row in one transaction, and raises
Invalid, NotFound, Conflict or StateUnavailable. `actor` is the name for the audit trail.
"""
