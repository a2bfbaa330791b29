"""The paper's protocol: how good a bank is that was built from contaminated frames. Pure; files are the caller's."""
