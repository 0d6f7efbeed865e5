"""Questions of accuracy: each file has one question and the command that answers it; docs/ has the answer."""
