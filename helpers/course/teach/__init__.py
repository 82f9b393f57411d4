"""What a teacher plans with: the schedule of a workshop and the instructor's pages."""
