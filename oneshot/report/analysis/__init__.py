"""What results say: pure functions of the tables, without torch and without figures."""
