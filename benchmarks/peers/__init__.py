"""Other Python servers, with the same handlers on the same load."""
