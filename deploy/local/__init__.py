"""The one-command stack: real Kafka, Redis and every process of Sada."""
