"""What people read and type: the terminal, paragraphs, and words that mean the same."""
