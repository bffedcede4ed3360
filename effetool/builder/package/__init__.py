"""The bytes of a .pex."""
