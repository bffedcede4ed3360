"""What compiled code asks of the system, read without loading it."""
