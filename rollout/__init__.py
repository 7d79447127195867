"""Playing episodes: the engine, the records, the command line grammar."""
