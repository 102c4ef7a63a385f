"""Operators' word on identity: rulings, what came of them, and why two identifiers are one customer or two."""
