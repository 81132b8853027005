"""What survives a power failure: see test_power_cut.py."""
