"""Erasure and access: a person is forgotten, or gets all that is held on it."""
