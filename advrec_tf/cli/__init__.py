"""From flags to settings, and from settings to what an experiment measures: the flags in one table, the runner, and the two families."""
