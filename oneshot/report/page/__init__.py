"""One HTML file of a sweep's results: every point with its drawings, numbers and command."""
