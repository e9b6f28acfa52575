"""The SEM info widget."""
