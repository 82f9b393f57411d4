"""What belongs to the learner: the record of progress, the diagnostic, the own copy of the notebooks."""
