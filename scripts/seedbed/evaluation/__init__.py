"""Evaluation: answers of a student, scored item by item."""
