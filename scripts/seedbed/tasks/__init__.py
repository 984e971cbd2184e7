"""Tasks: the questions, and where they come from."""
