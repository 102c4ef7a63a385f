"""Vendor payloads to signals: a pure parse and thin I/O each."""
