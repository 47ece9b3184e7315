"""Checks of an installation, each with a verdict, what was seen, and what to do."""
