"""Curves of accuracy, fitted to cells."""
