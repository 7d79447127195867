"""Arithmetic and word problems with one tool, an exact calculator."""
