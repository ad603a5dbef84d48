"""Who may use the API, and the audit log."""
