"""Durations as people write them, as the core knows them; they live in schemas: the doors read files, too."""

from schemas.durations import duration_ms

__all__ = ["duration_ms"]
