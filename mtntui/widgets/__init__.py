"""Reusable parts of the screens, one a file, each with its own look."""
