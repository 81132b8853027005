"""Outages of the service itself cause no false alert, and dead sensors are still reported."""
