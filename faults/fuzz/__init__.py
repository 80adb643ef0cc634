"""T-FUZZ: whatever arrives, nothing stops, no foreign code runs, and it can be looked at."""
