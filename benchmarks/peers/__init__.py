"""One file a system, imported in its own environment only. See `benchmarks/system.py` for the constants."""
