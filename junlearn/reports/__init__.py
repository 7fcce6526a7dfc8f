"""What is read: tables on the terminal and in files, and plots."""
