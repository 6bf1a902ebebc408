"""The multi-step perturbations paper: its tables and figures, its claims, and what they share."""
