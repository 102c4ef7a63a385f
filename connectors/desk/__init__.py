"""The call centre's 360 page."""
