"""What an effe declares that it needs, and what it imports."""
