"""The low-rank defences paper: its tables and figures, its claims, and what they share."""
