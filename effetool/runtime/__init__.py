"""What runs inside every .pex: the server, on the standard library alone."""
