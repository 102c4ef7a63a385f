"""Small stages that show the lane."""
