"""Jobs: the model, what a client may ask for, and the database.

`repository` is the only writer of jobs to the database, and publishes every change.
"""
