"""Lifecycle driver of an ORCA hand over orca_core."""
