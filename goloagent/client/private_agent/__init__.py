"""An agent of one run, for machines where none runs."""
