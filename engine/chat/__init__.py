"""Conversations with a model: what is stored, what is sent, what comes back."""
