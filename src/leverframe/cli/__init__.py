"""The command line: parses words and prints what the runtime answers.  It decides nothing."""
