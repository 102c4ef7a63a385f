"""Files in: CSV, JSON Lines and Parquet become signals (`sada import`)."""
