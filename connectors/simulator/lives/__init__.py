"""The generator of the simulated company: one module per part of a customer's life."""
