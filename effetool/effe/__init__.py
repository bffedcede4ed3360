"""What an effe is, read without running it."""
