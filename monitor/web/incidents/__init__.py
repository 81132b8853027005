"""The pages of incidents, and the page of the link in messages."""
