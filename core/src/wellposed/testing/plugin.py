"""pytest plugin of the conformance kit; imports no torch."""
