"""The chat room: conversations, the transcript, the prompt, and the reply that streams."""
