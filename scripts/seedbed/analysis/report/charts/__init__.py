"""Figures: each is drawn from the tables and fits alone, and written with the table behind it."""
