"""What a built file says of itself, and whether it can be made again."""
