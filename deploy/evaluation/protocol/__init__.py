"""The paper's protocol: which frames are trained on, which are tested, and what is done to injected ones. Pure."""
