"""The access policy of the API, and the audit log."""
