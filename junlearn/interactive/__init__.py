"""What a person at a prompt or in a notebook asks for in one call: a judgement, a comparison, a list of settings."""
