"""What is believed of members: probe results, verdicts, votes and operators' words, as values."""
