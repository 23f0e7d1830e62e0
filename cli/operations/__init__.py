"""Commands of operators: they make, run, observe and maintain an installation."""
