"""The pages of incidents, and the link to acknowledge one."""
