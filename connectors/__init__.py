"""The doors: inbound channels, outbound delivery, gateway and desk."""
