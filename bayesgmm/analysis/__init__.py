"""What a posterior says: criteria, the rows in doubt, components that collapsed, and the facts of a fit."""
