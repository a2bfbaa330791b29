"""`patchline bench`: how fast this machine is, in process and through a broker."""
