"""Load tests on their way: the job whose turn it is, its run, and what an earlier life left."""
