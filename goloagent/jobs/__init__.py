"""Jobs: what was asked, how a job lives, and where it is kept."""
