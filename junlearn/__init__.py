"""junlearn."""
