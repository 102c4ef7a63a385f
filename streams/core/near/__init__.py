"""Near matches: people who typed an identifier wrongly, found by what else their records say."""
