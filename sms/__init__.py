"""What short messages say, byte by byte: alphabets, parts, secured packets, the applet's messages.

Functions over bytes, without time, network or keys of their own. The platform and the simulator of
phones both import this package, and neither imports the other; docs/phones.md describes the same
bytes for whoever writes the applet.
"""
