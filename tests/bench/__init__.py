"""Benchmark of the whole program against a fake AWS: ``python -m bench``."""
