"""What images take from Debian: its archive, a small base, a root file system."""
