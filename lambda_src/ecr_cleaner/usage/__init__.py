"""Finds every use of an image."""
