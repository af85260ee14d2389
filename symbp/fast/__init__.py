"""The fast style: the statements of a readable module as operations that write into arrays made once and used again."""
