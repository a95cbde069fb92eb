"""The embedded federation of `demo`, which the tests use too. It knows no other room but the nouns and the grammar."""
