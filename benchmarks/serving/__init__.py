"""What benchmarks/serve.py is made of: peers, load, scenarios, figures."""
