"""Tools for files: durable writes, removal of deep trees, and the disk space guard."""
