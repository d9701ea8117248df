"""One module for each type of map that is more than keys and values, and what they share."""
