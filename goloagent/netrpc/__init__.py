"""Go's net/rpc over gob, without I/O."""
