"""The transactional batch lane between Kafka and Faust; knows nothing of customers."""
