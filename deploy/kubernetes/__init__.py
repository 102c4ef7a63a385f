"""Kubernetes: a Kustomize base, and the generator of its topics."""
