"""What the disk holds of runs: for certain, for how long, and what can be made of it again."""
