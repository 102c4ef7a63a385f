"""What runs Sada: the local stack, compose, dashboards, manifests."""
