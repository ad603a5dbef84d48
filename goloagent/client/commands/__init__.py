"""The commands of ``golo``, one module each."""
