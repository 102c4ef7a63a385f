"""Relations between customers: households, accounts and referrals, kept as groups, never a merge."""
