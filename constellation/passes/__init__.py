"""Ground contacts, queues, battery."""
