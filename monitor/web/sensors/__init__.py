"""The page of a sensor, and the table of all sensors."""
