"""What is kept: experiments from a configuration to their records."""
