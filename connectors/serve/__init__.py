"""Profiles and identities from Kafka into Redis, for lookups."""
