"""Pictures before the network: decoding with a size check, geometry, image statistics, folder layouts. Pure."""
