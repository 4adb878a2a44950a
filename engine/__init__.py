"""The work behind mtntui, headless: models, inference, conversations and the store they live in."""

__version__ = "0.1.0"
