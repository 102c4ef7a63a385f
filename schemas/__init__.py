"""The contracts: Avro schemas, typed views, the codec and the topics table. Imports nothing of ours."""
