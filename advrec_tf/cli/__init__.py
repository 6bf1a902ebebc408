"""The command line: flags, made from configurations, and their values."""
