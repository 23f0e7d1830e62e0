"""A mobile network in one process, to see and test signatures by short message without a real one.

An SMSC (SMPP 3.4) with subscribers from a file; each has a SIM with its keys and a handset with a
screen, and a person who answers, by themselves or from a terminal. It is an independent judge of
the platform: it shares with it only the wire format, sms/.
"""
