"""What people without a login may see: public status pages and badges."""
