"""Speak to a registry: names, credentials, the protocol."""
