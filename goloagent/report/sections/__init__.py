"""The parts of a report's HTML that are readable without scripts."""
