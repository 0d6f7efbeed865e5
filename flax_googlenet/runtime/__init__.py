"""How programs are compiled and where their memory comes from."""
