"""Profiles, identities and rulings from Kafka into Redis, for lookups."""
