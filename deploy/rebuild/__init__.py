"""`sada rebuild`: the past, replayed into a new generation beside the live one, and the switch to it."""
