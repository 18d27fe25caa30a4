"""Decides. Pure: no AWS call, clock, environment, log or thread."""
