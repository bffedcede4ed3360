"""The parts of benchmarks/attacks.py."""
