"""Questions of accuracy: each file has one, the command that answers it, and its answer in docs/."""
