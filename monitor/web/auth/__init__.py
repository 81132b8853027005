"""Who is asking: logins, roles, forms that only our own pages can send, and the people's pages."""
