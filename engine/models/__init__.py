"""Models: fetch, convert, build, describe and remove them. Import what you need from its own file; nothing here is heavy."""
