"""Actions to channels, outcomes back."""
