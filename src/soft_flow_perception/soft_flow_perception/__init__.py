"""Joins sensors into one observation a control tick."""
