"""Messages from phones, from being stored until a reader has dealt with them."""
