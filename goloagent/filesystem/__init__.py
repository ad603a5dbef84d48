"""Tools for files: fsync, removal of deep trees, and the disk space guard."""
