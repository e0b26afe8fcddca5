"""The pure core: values in, decisions out. No I/O, no clock, no logging, nothing of ours imported from outside."""
