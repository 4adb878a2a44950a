"""What fills the terminal: one module or package per room, and the dialogs that open over them."""
