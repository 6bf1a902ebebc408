"""Recommenders of today: their accuracy beside published numbers, and both surfaces attacked."""
