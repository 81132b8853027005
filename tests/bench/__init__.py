"""`make bench`: performance against reference runs that alternate with the measured ones."""
