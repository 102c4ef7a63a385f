"""Learners: churn, intent, propensity; snapshots and evaluation."""
