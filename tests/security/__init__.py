"""The security checklist: what keeps a line of it and belongs to no other folder of tests."""
