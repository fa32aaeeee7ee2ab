//! The tests of the whole: `it/` is one binary, so that it is linked once. Nothing is here.
