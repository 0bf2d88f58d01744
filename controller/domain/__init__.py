"""The nouns that two or more rooms share. Pure: the standard library only, no clock, no files, no randomness."""
