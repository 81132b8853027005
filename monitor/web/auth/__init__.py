"""Authentication and access: logins, roles, CSRF protection, and the pages of users."""
