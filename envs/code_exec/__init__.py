"""Small Python functions, written from a sentence, tried with a tool, and decided by hidden tests."""
