"""What a person is shown of a thing at a prompt and in a notebook: lines, and tables in every form."""
