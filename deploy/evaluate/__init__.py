"""The whole system on real data: the Instacart sample, imported and scored."""
