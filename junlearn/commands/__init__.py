"""What the command line is made of: the arguments of its commands, its help, its catalogue."""
