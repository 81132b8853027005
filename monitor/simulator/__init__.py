"""A fleet for trials: made up or recorded, it speaks HTTP to a live server and nothing else."""
