"""Pictures of a derivation: what is drawn, as data, and how it is drawn for each kind of document."""
