"""Informs the operator: log lines and the summary."""
