"""Thin shells that run the core on the lane."""
