"""The facts of a fit as text and as HTML; nothing here computes."""
