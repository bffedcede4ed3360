"""Connections, the threads that serve them, and the contexts they run with."""
