"""How good is a picture: does it show what its prompt says, and how far is it from another one? No torch here."""
