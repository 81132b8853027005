"""The pages of the administration: what operators and administrators set up."""
