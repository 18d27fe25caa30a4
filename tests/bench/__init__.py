"""A benchmark of the whole program against a fake AWS of its own: ``python -m bench``."""
