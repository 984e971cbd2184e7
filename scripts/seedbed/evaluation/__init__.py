"""Evaluation: a student's answers, scored item by item."""
