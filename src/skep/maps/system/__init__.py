"""Maps of the system, whoever made them: found, listed, and read as what they are."""
