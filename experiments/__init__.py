"""The door (main) and one file for each table or figure: its points and its report."""
