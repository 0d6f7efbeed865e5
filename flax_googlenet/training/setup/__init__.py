"""What a run checks and opens before its first step."""
