"""What several usage sources have in common."""
