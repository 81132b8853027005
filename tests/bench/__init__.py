"""`make bench`: the budget, as ratios of runs that alternate within the same minutes."""
