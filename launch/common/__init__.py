"""What the commands share: flags and help, the config file, logs, Ctrl-C and the compilation cache."""
