"""A fleet, two of each process on PostgreSQL and InfluxDB, and kills at random: does it hold?"""
