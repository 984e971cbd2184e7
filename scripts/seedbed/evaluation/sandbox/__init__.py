"""Sandboxes: worker processes for untrusted code, such as programs of models."""
