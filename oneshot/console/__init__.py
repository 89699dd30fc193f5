"""What people read in a terminal: before a run, while it goes on, after it, and when they ask."""
