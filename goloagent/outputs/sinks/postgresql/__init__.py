"""PostgreSQL and TimescaleDB: each result once, because its offset is in the same transaction."""
