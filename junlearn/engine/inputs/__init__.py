"""What comes in at the Python door: it is converted, or refused in one line, before anything is compiled."""
