"""Commands of callers: they call the suite through its gateway, or verify on this machine."""
