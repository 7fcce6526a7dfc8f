"""What methods are made of: feeds, losses, optimisers, descent, and what several methods share."""
