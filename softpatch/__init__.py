"""The SoftPatch algorithm: a pure library without stream, clock or network."""
