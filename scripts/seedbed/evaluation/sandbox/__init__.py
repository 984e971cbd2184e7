"""Processes that run code which nobody has read: programs of models, and scorers of tasks."""
