"""Talks to AWS: whole answers or an error."""
