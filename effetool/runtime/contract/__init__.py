"""What an author's functions are given, and how they are called."""
