"""`sada demo`: a living shop whose customers use real clients and answer what really reaches them."""
