"""HTTP: collection API, webhooks, customer API."""
