"""What a build can hand out beside the .pex."""
