"""The machine and the process: preflight checks, locks, signals, systemd, health, shutdown."""
