"""Open weights with papers: pinned, admitted, verified before every use. Imports no torch."""
