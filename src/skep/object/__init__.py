"""From a `.o` to a running object: parse to a spec, link functions, relocate, load."""
