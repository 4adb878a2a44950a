"""The room where work in the background is started, watched, compared and stopped."""
