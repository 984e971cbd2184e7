"""Tasks: the questions and their sources."""
